package teatime

import kotlin.time.Duration.Companion.milliseconds
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import teatime.ffi.Event as NativeEvent
import teatime.ffi.TeaStatus

class NoticesTest {
    @Test
    fun `a notice of a divergence has the evidence or the error`() {
        for ((evidence, message) in listOf("/tmp/evidence" to null, null to "the disk is full")) {
            val notice = notice(NativeEvent.Diverged(7u, 1_500_000u, "ab", evidence, message))
            assertEquals(Notice.Diverged(7u, 1500.milliseconds, "ab", evidence, message), notice)
        }
    }

    @Test
    fun `a notice of unstored persisted data has a code if the cause may pass`() {
        val full = notice(NativeEvent.NotPersisted(TeaStatus.NOT_STORED, "the disk is full"))
        assertEquals(Notice.NotPersisted(ErrorCode.NOT_STORED, "the disk is full"), full)
        assertEquals(Notice.NotPersisted(null, "newer"), notice(NativeEvent.NotPersisted(null, "newer")))
    }
}
