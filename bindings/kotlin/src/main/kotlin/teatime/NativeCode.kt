package teatime

import com.sun.jna.NativeLibrary
import com.sun.jna.Platform
import teatime.ffi.uniffiEnsureInitialized

/** Loads the native library. */
internal object NativeCode {
    private const val NAME = "teatime_mobile"

    @Volatile
    private var loaded: NativeLibrary? = null

    /** Why the library does not fit. It stays in the process, so a second attempt would only hide the reason. */
    private var unfit: TeatimeException.LibraryUnavailable? = null

    /** Loads the library once. If it is missing, the next call searches again. */
    @Synchronized
    fun load(): NativeLibrary {
        loaded?.let { return it }
        unfit?.let { throw TeatimeException.LibraryUnavailable(it.message.orEmpty(), it) }
        val library = find()
        check(library)
        loaded = library
        return library
    }

    /** Uses the class loader of the generated code, because another one would load a second copy of the library. */
    private fun find(): NativeLibrary = try {
        NativeLibrary.getInstance(NAME, teatime.ffi.Session::class.java.classLoader)
    } catch (error: LinkageError) {
        throw TeatimeException.LibraryUnavailable(missing(error), error)
    }

    /** Fails if the library lacks a function that this version calls, or has another signature for one. */
    private fun check(library: NativeLibrary) {
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
        return "cannot load the native library $file. Searched the folders of " +
            "-Djna.library.path (${property("jna.library.path")}), the folders of " +
            "-Djava.library.path (${property("java.library.path")}), and the resource " +
            "${platform()}/$file on the class path. Pack it into the app as that resource, or name its folder with " +
            "-Djna.library.path. On Android put it into jniLibs, and depend on JNA as an aar. " +
            "The system's message: ${error.message}"
    }

    private fun property(name: String): String = System.getProperty(name) ?: "not set"

    /** Reading the name may fail, because JNA itself may be the missing part. */
    private fun platform(): String = try {
        Platform.RESOURCE_PREFIX
    } catch (_: LinkageError) {
        "<platform>"
    }
}
