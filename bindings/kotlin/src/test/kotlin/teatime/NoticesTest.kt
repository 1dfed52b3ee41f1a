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
        assertEquals(Notice.NotPersisted(null, "full"), notice(NativeEvent.NotPersisted(null, "full")))
    }

    @Test
    fun `a notice of unconfirmed events has their number`() {
        assertEquals(Notice.Unconfirmed(2uL, "check them"), notice(NativeEvent.Unconfirmed(2uL, "check them")))
    }

    @Test
    fun `a notice of an alarm has its kind and participant`() {
        val id = "01".repeat(16)
        val alarm = notice(NativeEvent.Alarm("FORKED", 7uL, id, "ask the others"))
        assertEquals(Notice.Alarm("FORKED", 7uL, ViewId(id), "ask the others"), alarm)
    }

    @Test
    fun `a notice of a disagreement has its vote`() {
        assertEquals(Notice.Disagreement(7uL, "a, b"), notice(NativeEvent.Disagreement(7uL, "a, b")))
    }
}
