package teatime

import com.sun.jna.NativeLibrary
import com.sun.jna.Platform
import teatime.ffi.uniffiEnsureInitialized

/** The native library behind everything. */
internal object NativeCode {
    private const val NAME = "teatime_mobile"

    @Volatile
    private var loaded: NativeLibrary? = null

    /** A library that does not fit stays in the process: looking again would only blur the reason. */
    private var unfit: TeatimeException.LibraryUnavailable? = null

    /** Loads it, once. Where it is missing it is looked for again next time. */
    @Synchronized
    fun load(): NativeLibrary {
        loaded?.let { return it }
        unfit?.let { throw TeatimeException.LibraryUnavailable(it.message.orEmpty(), it) }
        val library = find()
        fit(library)
        loaded = library
        return library
    }

    /** By the class loader that the generated code names, or there would be two copies of the library. */
    private fun find(): NativeLibrary = try {
        NativeLibrary.getInstance(NAME, teatime.ffi.Session::class.java.classLoader)
    } catch (error: LinkageError) {
        throw TeatimeException.LibraryUnavailable(missing(error), error)
    }

    /** Whether it has the functions, with the signatures, that this version calls. */
    private fun fit(library: NativeLibrary) {
        val error = try {
            uniffiEnsureInitialized()
            return
        } catch (error: LinkageError) {
            error
        }
        val message = "${library.file ?: System.mapLibraryName(NAME)} is not the native library of this version of " +
            "Teatime: ${(error.cause ?: error).message}. Build library and Kotlin code from the same sources."
        throw TeatimeException.LibraryUnavailable(message, error).also { unfit = it }
    }

    private fun missing(error: LinkageError): String {
        val file = System.mapLibraryName(NAME)
        return "the native library $file cannot be loaded. It was looked for in the folders of " +
            "-Djna.library.path (${property("jna.library.path")}), in those of " +
            "-Djava.library.path (${property("java.library.path")}), and as the resource " +
            "${platform()}/$file on the class path. Pack it into the app as that resource, or name its folder with " +
            "-Djna.library.path; on Android put it into jniLibs, and depend on JNA as an aar. " +
            "What the system says: ${error.message}"
    }

    private fun property(name: String): String = System.getProperty(name) ?: "not set"

    /** JNA itself may be what cannot be loaded. */
    private fun platform(): String = try {
        Platform.RESOURCE_PREFIX
    } catch (_: LinkageError) {
        "<platform>"
    }
}
