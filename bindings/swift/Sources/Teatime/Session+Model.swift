internal import TeatimeFFI

extension Session {
  /// Asks a query of a model. That never changes the model.
  ///
  /// - Parameters:
  ///   - query: The name of the query.
  ///   - argument: What the query takes, if it takes something.
  ///   - model: Which model.
  ///   - type: What it answers.
  /// - Throws: ``TeatimeError/Code/notJoined`` while there is no model,
  ///   ``TeatimeError/Code/unknownModel``, ``TeatimeError/Code/unknownQuery``,
  ///   ``TeatimeError/Code/queryArgument``, ``TeatimeError/Code/queryFailed``,
  ///   ``TeatimeError/Code/wrongType`` if the answer is of another type.
  public func read<Answer: Decodable>(
    _ query: String, _ argument: (any Encodable)? = nil, of model: ModelID = .root,
    as type: Answer.Type = Answer.self
  ) throws(TeatimeError) -> Answer {
    let given = try argument.map { argument throws(TeatimeError) in try JSON.encode(argument) }
    let answer = try call {
      try ffi.query(
        model: model.rawValue, name: query, argument: given ?? .init(), format: .json)
    }
    return try JSON.decode(type, from: answer)
  }

  /// The model that is known by a name, if there is one.
  ///
  /// - Throws: ``TeatimeError/Code/notJoined`` while there is no model.
  public func wellKnown(_ name: String) throws(TeatimeError) -> ModelID? {
    try call { try ffi.wellKnown(name: name) }.map(ModelID.init(rawValue:))
  }

  /// The views that there are, in the order in which they came.
  public var views: [ViewID] {
    /// - Throws: ``TeatimeError/Code/notJoined`` while there is no model.
    get throws(TeatimeError) { try call { try ffi.views() }.compactMap { ViewID($0) } }
  }

  /// The hash of the whole state as it stands, as 64 hexadecimal digits: at the same position of the
  /// session it is the same for all participants.
  public var stateHash: String {
    /// - Throws: ``TeatimeError/Code/notJoined`` while there is no model.
    get throws(TeatimeError) { try call { try ffi.stateHash() } }
  }

  /// Whether the model is up to date with the reflector.
  public var isSynced: Bool {
    get throws(TeatimeError) { try call { try ffi.synced() } }
  }

  /// Whether the root model has persisted something that the reflector has not stored yet: a later version
  /// of the app would begin with what was stored before. It is stored by itself, within seconds;
  /// ``Notice/persisted(seq:)`` and ``Notice/notPersisted(_:message:)`` tell what becomes of it. Any thread may
  /// ask; it takes turns with the simulation. `false` while there is no model.
  public var hasUnpersisted: Bool {
    /// - Throws: ``TeatimeError/Code/over``.
    get throws(TeatimeError) { try call { try ffi.hasUnpersisted() } }
  }

  /// The newest version of the app that is used in this room, or has been, if it is newer than this one.
  /// ``Notice/newerVersion(_:message:)`` tells when that changes.
  public var newerVersion: Int? {
    /// - Throws: ``TeatimeError/Code/over``.
    get throws(TeatimeError) { try call { try ffi.newerVersion() }.map { Int($0) } }
  }

  /// The session time up to which the model has been simulated.
  public var now: Duration {
    get throws(TeatimeError) { .microseconds(try call { try ffi.nowUs() }) }
  }

  /// The newest session time that the reflector has told.
  public var externalNow: Duration {
    get throws(TeatimeError) { .microseconds(try call { try ffi.externalNowUs() }) }
  }

  /// An estimate of the session time at this moment.
  public var extrapolatedNow: Duration {
    get throws(TeatimeError) { .microseconds(try call { try ffi.extrapolatedNowUs() }) }
  }

  /// 64 random bits of this view, which no model sees.
  public func random() throws(TeatimeError) -> UInt64 {
    try call { try ffi.randomU64() }
  }

  /// Statistics.
  public var statistics: Statistics {
    get throws(TeatimeError) { Statistics(try call { try ffi.stats() }) }
  }
}
