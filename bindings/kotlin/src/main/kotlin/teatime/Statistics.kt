package teatime

import kotlin.time.Duration
import teatime.ffi.TeaStats

/**
 * Statistics of a session.
 *
 * @property roundTrips how many of the last hundred round trips to the reflector were measured
 * @property roundTripLast the newest round trip
 * @property roundTripMedian the median of the round trips
 * @property roundTripP99 only one round trip in a hundred took longer
 * @property seq sequence number of the newest event that was simulated
 * @property models how many models there are
 * @property futures how many future messages wait
 * @property reconnecting for how long the connection has been broken; zero while it is not
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
