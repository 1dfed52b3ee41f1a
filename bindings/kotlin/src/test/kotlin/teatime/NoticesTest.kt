package teatime

import kotlin.time.Duration.Companion.milliseconds
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import teatime.ffi.Event as NativeEvent
import teatime.ffi.TeaStatus

class NoticesTest {
    @Test
    fun `a divergence is told with its evidence or why there is none`() {
        for ((evidence, why) in listOf("/tmp/evidence" to null, null to "the disk is full")) {
            val told = notice(NativeEvent.Diverged(7u, 1_500_000u, "ab", evidence, why))
            assertEquals(Notice.Diverged(7u, 1500.milliseconds, "ab", evidence, why), told)
        }
    }

    @Test
    fun `what is not persisted is told with its cause if that may pass`() {
        val full = notice(NativeEvent.NotPersisted(TeaStatus.NOT_STORED, "the disk is full"))
        assertEquals(Notice.NotPersisted(ErrorCode.NOT_STORED, "the disk is full"), full)
        assertEquals(Notice.NotPersisted(null, "newer"), notice(NativeEvent.NotPersisted(null, "newer")))
    }
}
