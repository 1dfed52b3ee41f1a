package teatime

/**
 * A QR code as a square of modules.
 *
 * @property side modules per side, without the quiet zone: readers need four light modules around the code
 */
public class QrCode private constructor(public val side: Int, private val modules: ByteArray) {
    /**
     * Whether a module is dark.
     *
     * @throws IndexOutOfBoundsException outside the square
     */
    public fun isDark(column: Int, row: Int): Boolean {
        if (column !in 0 until side || row !in 0 until side) {
            throw IndexOutOfBoundsException("column $column, row $row: expected 0 to ${side - 1}")
        }
        return modules[row * side + column].toInt() != 0
    }

    /** Makes QR codes. */
    public companion object {
        /**
         * The QR code of a text, such as a join link.
         *
         * @throws TeatimeException [ErrorCode.TOO_LONG] above 2,953 bytes
         */
        public fun of(text: String): QrCode {
            val code = firstCall { teatime.ffi.qrCode(text) }
            return QrCode(code.side.toInt(), code.modules)
        }
    }
}
