package teatime.chat.android

import android.app.Activity
import android.os.Bundle
import android.os.Handler
import android.os.Looper
import android.text.Editable
import android.text.TextWatcher
import android.view.KeyEvent
import android.view.View
import android.view.inputmethod.EditorInfo
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.TextView
import java.util.concurrent.Executor
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch
import teatime.ConnectionState
import teatime.JoinLink
import teatime.TeatimeException
import teatime.chat.ChatModel
import teatime.chat.ChatState
import teatime.chat.Room

/** The chat on a phone: a header, the lines, and a text field. A join link opens it. */
class ChatActivity : Activity() {
    private val mainThread = Handler(Looper.getMainLooper())
    private val scope = CoroutineScope(SupervisorJob() + Executor { mainThread.post(it) }.asCoroutineDispatcher())
    private lateinit var header: TextView
    private lateinit var lines: TextView
    private lateinit var scroll: ScrollView
    private lateinit var typing: TextView
    private lateinit var input: EditText
    private var model: ChatModel? = null

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        header = TextView(this)
        lines = TextView(this)
        scroll = ScrollView(this).apply { addView(lines) }
        typing = TextView(this)
        input = EditText(this).apply {
            imeOptions = EditorInfo.IME_ACTION_SEND
            setSingleLine()
            addTextChangedListener(Keys { model?.setTyping(it.isNotEmpty()) })
            setOnEditorActionListener { _, action, key -> isEnter(action, key).also { if (it) send() } }
        }
        setContentView(column())
        val link = intent?.dataString
        if (link == null) header.text = "Open a join link to chat." else enter(link)
    }

    private fun column(): View = LinearLayout(this).apply {
        orientation = LinearLayout.VERTICAL
        val wide = LinearLayout.LayoutParams.MATCH_PARENT
        addView(header, LinearLayout.LayoutParams(wide, LinearLayout.LayoutParams.WRAP_CONTENT))
        addView(scroll, LinearLayout.LayoutParams(wide, 0, 1f))
        addView(typing, LinearLayout.LayoutParams(wide, LinearLayout.LayoutParams.WRAP_CONTENT))
        addView(input, LinearLayout.LayoutParams(wide, LinearLayout.LayoutParams.WRAP_CONTENT))
    }

    private fun isEnter(action: Int, key: KeyEvent?): Boolean {
        val pressed = key?.action == KeyEvent.ACTION_DOWN && key.keyCode == KeyEvent.KEYCODE_ENTER
        return pressed || action == EditorInfo.IME_ACTION_SEND
    }

    private fun enter(link: String) {
        val model = try {
            ChatModel(Room.of(JoinLink.parse(link)) ?: return say("This link does not lead to a chat."))
        } catch (error: TeatimeException) {
            return say(error.message.orEmpty())
        }
        this.model = model
        scope.launch { model.state.collect { show(it) } }
        scope.launch {
            try {
                model.run()
            } catch (error: TeatimeException) {
                say(error.message.orEmpty())
            }
        }
    }

    private fun say(text: String) {
        header.text = text
    }

    private fun show(state: ChatState) {
        val here = "${state.nickname} · ${state.participants} here"
        header.text = "${state.badge} │ $here │ ${describe(state.connection)}"
        lines.text = state.lines.joinToString("\n") { it.text }
        typing.text = state.typingLine.orEmpty()
        scroll.post { scroll.fullScroll(View.FOCUS_DOWN) }
    }

    private fun describe(state: ConnectionState): String = when (state) {
        is ConnectionState.Connecting -> state.reason?.message ?: "connecting"
        is ConnectionState.CatchingUp -> "catching up"
        is ConnectionState.Live -> "live"
        is ConnectionState.Reconnecting -> "reconnecting"
        is ConnectionState.Left -> "left"
        is ConnectionState.Failed -> state.reason.message.orEmpty()
    }

    private fun send() {
        val model = model ?: return
        val text = input.text.toString()
        input.text.clear()
        scope.launch {
            try {
                model.say(text)
            } catch (error: TeatimeException) {
                say("Not sent: ${error.message}")
            }
        }
    }

    override fun onStart() {
        super.onStart()
        model?.onForeground()
    }

    override fun onStop() {
        model?.onBackground()
        super.onStop()
    }

    override fun onDestroy() {
        // Leaves the session, too.
        scope.cancel()
        super.onDestroy()
    }

    /** Calls [changed] with the text after each change. */
    private class Keys(private val changed: (CharSequence) -> Unit) : TextWatcher {
        override fun beforeTextChanged(text: CharSequence, start: Int, count: Int, after: Int) {}

        override fun onTextChanged(text: CharSequence, start: Int, before: Int, count: Int) = changed(text)

        override fun afterTextChanged(text: Editable) {}
    }
}
