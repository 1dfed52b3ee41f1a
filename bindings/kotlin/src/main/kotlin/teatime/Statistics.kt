package teatime

import kotlin.time.Duration
import teatime.ffi.TeaStats

/**
 * Statistics of a session.
 *
 * @property roundTrips the number of measured round trips to the reflector, at most the last hundred
 * @property roundTripLast the newest round trip
 * @property roundTripMedian the median of the round trips
 * @property roundTripP99 the 99th percentile of the round trips
 * @property seq sequence number of the newest simulated event
 * @property models the number of models
 * @property futures the number of scheduled future messages
 * @property reconnecting how long the connection has been broken; zero while it is not broken
 */
public data class Statistics(
    val roundTrips: Int,
    val roundTripLast: Duration,
    val roundTripMedian: Duration,
    val roundTripP99: Duration,
    val seq: ULong,
    val models: Long,
    val futures: Long,
    val reconnecting: Duration,
)

internal fun statistics(stats: TeaStats): Statistics = Statistics(
    roundTrips = stats.roundTrips.toInt(),
    roundTripLast = duration(stats.roundTripLastUs),
    roundTripMedian = duration(stats.roundTripP50Us),
    roundTripP99 = duration(stats.roundTripP99Us),
    seq = stats.seq,
    models = stats.models.toLong(),
    futures = stats.futures.toLong(),
    reconnecting = duration(stats.reconnectingUs),
)
