package teatime

import com.sun.jna.Native
import java.io.File
import kotlin.reflect.KCallable
import kotlin.reflect.KClass
import kotlin.reflect.KMutableProperty
import kotlin.reflect.KType
import kotlin.reflect.KVisibility
import kotlin.reflect.full.declaredMembers
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class PublicApiTest {
    /** The public classes of the package, nested ones too. */
    private val classes: List<KClass<*>> = File(App::class.java.protectionDomain.codeSource.location.toURI())
        .resolve("teatime").listFiles().orEmpty()
        .map { it.name.removeSuffix(".class") }
        .filter { name -> name.split('$').all { it.firstOrNull()?.isUpperCase() == true } }
        .map { name -> Class.forName("teatime.$name").kotlin }
        .filter { it.isPublic() }

    private fun KClass<*>.isPublic(): Boolean {
        // The JVM's class for a file of functions is not a class in Kotlin.
        if (java.getAnnotation(Metadata::class.java)?.kind != 1) return false
        val outer = java.declaringClass
        return visibility == KVisibility.PUBLIC && (outer == null || outer.kotlin.isPublic())
    }

    private fun KClass<*>.publicMembers(): List<KCallable<*>> =
        (declaredMembers + constructors)
            .filter { it.visibility == KVisibility.PUBLIC || it.visibility == KVisibility.PROTECTED }

    private fun KType.names(): List<String> = listOf(toString()) + arguments.flatMap { it.type?.names().orEmpty() }

    @Test
    fun `public signatures do not have generated classes`() {
        assertTrue(classes.containsAll(listOf(Session::class, View::class, TeatimeException.Internal::class)), "$classes")
        for (type in classes) {
            val signatures = type.publicMembers().flatMap { member ->
                member.parameters.flatMap { it.type.names() } + member.returnType.names()
            } + type.supertypes.flatMap { it.names() }
            assertEquals(emptyList<String>(), signatures.filter { "teatime.ffi" in it || "com.sun.jna" in it }, "$type")
        }
    }

    @Test
    fun `acceptance 39 a view cannot write`() {
        for (type in classes) {
            val writable = type.publicMembers().filter { it is KMutableProperty<*> && it.setter.visibility == KVisibility.PUBLIC }
            assertEquals(emptyList<KCallable<*>>(), writable, "$type")
        }
        // All members of a session and a view. Those that change the model go through the reflector.
        val sends = listOf("publish", "publishJson", "awaitPublish", "publishToViews", "publishJsonToViews")
        val listens = listOf("events", "notices", "connection", "progress", "ready", "applied", "awaitEnd")
        val reads = listOf("read", "readJson", "wellKnown", "views", "stateHash", "isSynced", "now", "externalNow",
            "extrapolatedNow", "random", "statistics", "hasUnpersisted", "newerVersion", "id", "viewId", "badge", "session", "coroutineContext")
        // No model sees it.
        val shows = listOf("setPresence", "setPresenceJson", "clearPresence", "presences", "presenceUpdates")
        val blobs = listOf("store", "fetch", "owns")
        val connects = listOf("reconnect", "onBackground", "onForeground", "leave", "close", "requestVote")
        val members = (Session::class.publicMembers() + View::class.publicMembers()).map { it.name }
        assertEquals((sends + listens + reads + shows + blobs + connects).toSet(), members.toSet())
    }

    @Test
    fun `the rules for shrinking have the classes that native code looks for`() {
        val places = listOf("proguard", "com.android.tools/r8", "com.android.tools/proguard")
        val rules = places.map { place ->
            val text = javaClass.getResource("/META-INF/$place/teatime.pro")
            assertNotNull(text, place)
            text.readText()
        }
        assertEquals(1, rules.toSet().size)
        for (type in listOf(teatime.ffi.Session::class.java, Native::class.java)) {
            assertTrue("-keep class ${type.`package`.name}.**" in rules[0], type.name)
        }
    }

    @Test
    fun `the library contains no native code`() {
        val root = File(App::class.java.protectionDomain.codeSource.location.toURI())
        val files = root.walk().filter { it.isFile }.map { it.name }.toList()
        assertTrue(files.size > 20)
        assertFalse(files.any { it.endsWith(".so") || it.endsWith(".dylib") || it.endsWith(".dll") }, "$files")
    }
}
