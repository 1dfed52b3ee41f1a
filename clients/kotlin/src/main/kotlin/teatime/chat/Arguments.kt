package teatime.chat

import java.io.File
import java.io.IOException
import teatime.JoinLink
import teatime.TeatimeException

/** The arguments of the command line. Flags override the link. */
internal class Arguments private constructor(
    val reflector: String?,
    val json: Boolean,
    private val link: Room?,
    private val given: Map<String, String>,
) {
    /** The room at a reflector. */
    fun room(reflector: String): Room = Room(
        reflector = reflector,
        name = given["--name"] ?: link?.name ?: "lobby",
        password = given["--password"] ?: link?.password,
        inactivitySeconds = given["--inactivity"]?.let { Room.seconds(it) }
            ?: link?.inactivitySeconds ?: Room.INACTIVITY_SECONDS,
        announces = "--announce" in given || link?.announces == true,
        trustedCertificates = given["--ca"]?.let { read(it) },
        evidenceDirectory = given["--evidence"],
    )

    private fun read(file: String): String = try {
        File(file).readText()
    } catch (error: IOException) {
        throw UsageError("$file: ${error.message}")
    }

    companion object {
        private val VALUES =
            setOf("--reflector", "--name", "--password", "--inactivity", "--ca", "--evidence")
        private val FORMS = setOf("--plain", "--json")
        private val SWITCHES = FORMS + "--announce"

        fun parse(arguments: List<String>): Arguments {
            val given = HashMap<String, String>()
            val links = ArrayList<String>()
            val rest = arguments.iterator()
            while (rest.hasNext()) {
                val argument = rest.next()
                val name = argument.substringBefore('=')
                when {
                    argument in SWITCHES -> given[argument] = ""
                    name in VALUES && '=' in argument -> given[name] = argument.substringAfter('=')
                    argument in VALUES && rest.hasNext() -> given[argument] = rest.next()
                    argument.startsWith("-") -> throw UsageError(null)
                    else -> links += argument
                }
            }
            if (links.size > 1 || given.keys.containsAll(FORMS)) throw UsageError(null)
            if (given["--inactivity"]?.let { Room.seconds(it) == null } == true) throw UsageError(null)
            val link = links.singleOrNull()?.let { follow(it) }
            return Arguments(given["--reflector"] ?: link?.reflector, "--json" in given, link, given)
        }

        private fun follow(link: String): Room = try {
            Room.of(JoinLink.parse(link)) ?: throw UsageError("the link does not lead to a chat")
        } catch (error: TeatimeException.InvalidOptions) {
            throw UsageError(error.message)
        }
    }
}

/** The command line is invalid, because of [message]. Without a message the program prints the list of flags. */
internal class UsageError(message: String?) : Exception(message) {
    companion object {
        const val TEXT = "usage: teatime-chat [LINK] [--reflector URL] [--name ROOM] [--password PW]\n" +
            "                    [--inactivity SECONDS] [--announce] [--ca FILE] [--evidence DIR]\n" +
            "                    [--plain | --json]"
    }
}
