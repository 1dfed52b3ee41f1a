package teatime.bench

import java.nio.ByteBuffer
import java.util.UUID
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.DurationUnit
import kotlin.time.TimeSource
import kotlin.time.measureTime
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import teatime.App
import teatime.JoinOptions
import teatime.Reflector
import teatime.Session
import teatime.ffi.App as NativeApp
import teatime.ffi.Session as NativeSession
import teatime.ffi.TeaConnection
import teatime.ffi.TeaFormat

private const val WARM_UP_JOINS = 20
private const val JOINS = 50
private const val WARM_UP_TRIPS = 500
private const val TRIPS = 2_000
private const val PULLED = 1_000
private const val WARM_UP_PULLS = 30
private const val PULLS = 50

private fun options(url: String) = JoinOptions(App.chat(), url, UUID.randomUUID().toString(), options = buildJsonObject {
    put("inactivity_seconds", 1200)
    put("announce", false)
})

/** From the call to the first history in a view. 200 ms of it are the reflector's window for joins. */
private suspend fun joins(url: String): Duration = List(WARM_UP_JOINS + JOINS) {
    val start = TimeSource.Monotonic.markNow()
    var took = Duration.ZERO
    Session.join(options(url)) {
        session.read<JsonArray>("history")
        took = start.elapsedNow()
    }.use { }
    took
}.drop(WARM_UP_JOINS).sorted()[JOINS / 2]

/** From publishing a post to the model's event in a collector, one at a time. */
private suspend fun roundTrips(session: Session): List<Duration> = List(WARM_UP_TRIPS + TRIPS) {
    val refreshes: Flow<*> = session.events("history", "refresh")
    // Far below the reflector's rate limit.
    delay(2.milliseconds)
    measureTime {
        session.publish("input", "newPost", buildJsonObject { put("text", "x") })
        refreshes.first()
    }
}.drop(WARM_UP_TRIPS).sorted()

/** One call that brings many events, from native code to Kotlin objects. */
private fun pulls(url: String): Duration {
    val session = NativeSession.join(NativeApp.chat(), options(url).native())
    try {
        while (session.connection() != TeaConnection.LIVE) {
            session.step(1_000uL)
            session.poll(TeaFormat.JSON, 100u)
            Thread.sleep(1)
        }
        session.subscribe("bench", "event", false)
        val payload = ByteBuffer.allocateDirect(1).apply { put(0, '7'.code.toByte()) }
        return List(WARM_UP_PULLS + PULLS) {
            repeat(PULLED) { session.publishToViews("bench", "event", payload, TeaFormat.JSON) }
            measureTime { check(session.poll(TeaFormat.JSON, PULLED.toUInt()).size == PULLED) }
        }.drop(WARM_UP_PULLS).sorted()[PULLS / 2].also { check(payload.isDirect) }
    } finally {
        session.destroy()
    }
}

private fun Duration.us() = toDouble(DurationUnit.MICROSECONDS)

/** Measures sessions on this machine, and prints a line of JSON. */
fun main() = Reflector.start("127.0.0.1:0").use { reflector ->
    runBlocking {
        val join = joins(reflector.url)
        Session.join(options(reflector.url)).use { session ->
            val trips = roundTrips(session)
            val pull = pulls(reflector.url)
            println(buildJsonObject {
                put("join_median_ms", join.us() / 1_000)
                put("round_trip_p50_us", trips[TRIPS / 2].us())
                put("round_trip_p99_us", trips[TRIPS * 99 / 100].us())
                put("pull_1000_events_us", pull.us())
            })
        }
    }
}
