import Foundation
import Teatime

/// Measures the times that a user notices, with a reflector on loopback in the same process. Prints one line of
/// JSON. Build it with optimization.
@main
struct Bench {
  private let reflector: Reflector

  static func main() async throws {
    let bench = Bench(reflector: try Reflector.start(listening: "127.0.0.1:0"))
    let joins = try await bench.joins(30)
    let trips = try await bench.roundTrips(2_000)
    let pulls = try await bench.pulls(20)
    try await bench.reflector.stop()
    print(
      "{\"bench\":\"swift\",\"join_to_history_p50_ms\":\(joins.percentile(50) / 1_000)",
      "\"publish_to_event_p50_us\":\(trips.percentile(50))",
      "\"publish_to_event_p99_us\":\(trips.percentile(99))",
      "\"pull_1000_events_p50_us\":\(pulls.percentile(50))}", separator: ",")
  }

  private func options(_ room: String) throws -> JoinOptions {
    JoinOptions(app: try .chat, reflector: reflector.url, name: room, options: Chat.Options())
  }

  /// From the start to the first history, each time in a new room. Never less than 200 ms, because the reflector
  /// gathers joins for that long.
  private func joins(_ count: Int) async throws -> Times {
    var times = Times()
    for number in 0..<count {
      let start = ContinuousClock.now
      let session = try await Session.join(options("join \(number)"))
      let _: [Chat.Line] = try session.read("history")
      times.add(start)
      session.leave()
    }
    return times
  }

  /// From publishing a post to the model's event that follows, one post at a time.
  private func roundTrips(_ count: Int) async throws -> Times {
    let session = try await Session.join(options("trips"))
    var refreshes = session.events("history", "refresh").makeAsyncIterator()
    var times = Times()
    for _ in 0..<count {
      let start = ContinuousClock.now
      try session.publish("input", "newPost", Chat.Post(text: "a line of usual length"))
      _ = await refreshes.next()
      times.add(start)
      // Below the reflector's rate limit.
      try await Task.sleep(for: .milliseconds(1))
    }
    session.leave()
    return times
  }

  /// From the moment when a thousand events wait until the last of them is taken.
  private func pulls(_ count: Int) async throws -> Times {
    var times = Times()
    for number in 0..<count {
      let (starts, started) = AsyncStream.makeStream(of: ContinuousClock.Instant.self)
      let session = try Session.start(options("pull \(number)")) { session in
        for event in 0..<1_000 { try session.publishToViews("bench", "event", event) }
        started.yield(.now)
      }
      let events = session.events("bench", "event")
      var left = 1_000
      for await _ in events {
        left -= 1
        if left == 0 { break }
      }
      let end = ContinuousClock.now
      for await start in starts {
        times.add(start, until: end)
        break
      }
      session.leave()
    }
    return times
  }
}

/// Measured times in µs.
struct Times {
  private var all: [Int64] = []

  mutating func add(_ start: ContinuousClock.Instant, until end: ContinuousClock.Instant = .now) {
    all.append(Int64(start.duration(to: end) / .microseconds(1)))
  }

  /// The time that this percentage of the measurements did not exceed.
  func percentile(_ percent: Int) -> Int64 {
    all.sorted()[min(all.count - 1, all.count * percent / 100)]
  }
}
