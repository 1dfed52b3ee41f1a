internal import TeatimeFFI

extension Session {
  /// Calls a query of a model. Queries never change the model.
  ///
  /// - Parameters:
  ///   - query: The name of the query.
  ///   - argument: The argument of the query, if it has one.
  ///   - model: The model to ask.
  ///   - type: The type of the answer.
  /// - Throws: ``TeatimeError/Code/notJoined`` before there is a model,
  ///   ``TeatimeError/Code/unknownModel``, ``TeatimeError/Code/unknownQuery``,
  ///   ``TeatimeError/Code/queryArgument``, ``TeatimeError/Code/queryFailed``,
  ///   ``TeatimeError/Code/wrongType`` if the answer is of another type.
  public func read<Answer: Decodable>(
    _ query: String, _ argument: (any Encodable)? = nil, of model: ModelID = .root,
    as type: Answer.Type = Answer.self
  ) throws(TeatimeError) -> Answer {
    let encoded = try argument.map { argument throws(TeatimeError) in try JSON.encode(argument) }
    let answer = try call {
      try ffi.query(
        model: model.rawValue, name: query, argument: encoded ?? .init(), format: .json)
    }
    return try JSON.decode(type, from: answer)
  }

  /// The model with a well-known name, if there is one.
  ///
  /// - Throws: ``TeatimeError/Code/notJoined`` before there is a model.
  public func wellKnown(_ name: String) throws(TeatimeError) -> ModelID? {
    try call { try ffi.wellKnown(name: name) }.map(ModelID.init(rawValue:))
  }

  /// The current views, in the order of their joins.
  public var views: [ViewID] {
    /// - Throws: ``TeatimeError/Code/notJoined`` before there is a model.
    get throws(TeatimeError) { try call { try ffi.views() }.compactMap { ViewID($0) } }
  }

  /// The hash of the whole current state, as 64 hexadecimal digits. At the same point of the session it is the
  /// same for all participants.
  public var stateHash: String {
    /// - Throws: ``TeatimeError/Code/notJoined`` before there is a model.
    get throws(TeatimeError) { try call { try ffi.stateHash() } }
  }

  /// Whether the model is up to date with the reflector.
  public var isSynced: Bool {
    get throws(TeatimeError) { try call { try ffi.isSynced() } }
  }

  /// Whether the root model has persisted data that the reflector has not stored yet. A later version of the app
  /// would begin with the data stored before. The reflector stores the new data within seconds, and
  /// ``Notice/persisted(seq:)`` or ``Notice/notPersisted(_:message:)`` follows. False before there is a model.
  public var hasUnpersisted: Bool {
    /// - Throws: ``TeatimeError/Code/over``.
    get throws(TeatimeError) { try call { try ffi.hasUnpersisted() } }
  }

  /// The newest version of the app that is or was in use in this room, if it is newer than this one.
  /// ``Notice/newerVersion(_:message:)`` announces a change.
  public var newerVersion: Int? {
    /// - Throws: ``TeatimeError/Code/over``.
    get throws(TeatimeError) { try call { try ffi.newerVersion() }.map { Int($0) } }
  }

  /// The session time that the simulation has reached.
  public var now: Duration {
    get throws(TeatimeError) { .microseconds(try call { try ffi.nowUs() }) }
  }

  /// The newest session time from the reflector.
  public var externalNow: Duration {
    get throws(TeatimeError) { .microseconds(try call { try ffi.externalNowUs() }) }
  }

  /// An estimate of the current session time.
  public var extrapolatedNow: Duration {
    get throws(TeatimeError) { .microseconds(try call { try ffi.extrapolatedNowUs() }) }
  }

  /// 64 random bits of this view, independent of the models' random numbers.
  public func random() throws(TeatimeError) -> UInt64 {
    try call { try ffi.randomU64() }
  }

  /// Statistics of the session.
  public var statistics: Statistics {
    get throws(TeatimeError) { Statistics(try call { try ffi.stats() }) }
  }
}
