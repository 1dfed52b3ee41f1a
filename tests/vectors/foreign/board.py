"""The model of run.json and session.json: what tests/src/vectors/board.rs declares, in another language."""

from .encoding import write
from .maths import sin
from .vm import VIEW_ID, VIEW_INFO, Failed

MS = 1000
ADD = {"struct": [["number", "u32"], ["text", "str"]]}
NAMED = {"struct": [["name", "str"], ["level", "f64"]]}
MOOD = {"enum": [["Calm", None], ["Loud", "u8"], ["Split", {"tuple": ["i16", "f32"]}], ["Named", NAMED]]}
SAVED = {"struct": [["title", "str"], ["total", "i64"]]}
FUTURE = {"struct": [["id", "u64"]]}


class Piece:
    id, version, code = "vectors.piece", 1, "declared piece 1"
    fields = [("text", "String", "str"), ("sum", "u64", "u64")]
    handlers = [("hear", "Add"), ("grow", "u64")]
    queries = []
    arguments = {"hear": ADD, "grow": "u64"}
    presence = {}
    options = "str"

    @staticmethod
    def init(cx, text):
        cx.subscribe("board", "added", "hear")
        cx.future(400 * MS, "grow", write("u64", 1))
        return {"text": text, "sum": 0}

    @staticmethod
    def hear(me, cx, add):
        me["text"] += add[1]
        cx.publish(f"M{cx.model}", "heard", write("u64", me["sum"]))

    @staticmethod
    def grow(me, cx, by):
        me["sum"] += by
        cx.answer(write("u64", me["sum"]))


class Board:
    id, version, code = "vectors.board", 4, "declared board 1"
    fields = [
        ("title", "String", "str"),
        ("members", "OrderedMap < ViewId , u32 >", {"map": [VIEW_ID, "u32"]}),
        ("mood", "Mood", MOOD),
        ("numbers", "Vec < i64 >", {"list": "i64"}),
        ("level", "f64", "f64"),
        ("last", "Option < ViewId >", {"option": VIEW_ID}),
        ("timer", "Option < FutureHandle >", {"option": FUTURE}),
        ("piece", "Option < Handle < Piece > >", {"option": "u64"}),
        ("heard", "Vec < String >", {"list": "str"}),
    ]
    handlers = [
        ("join_one", "ViewId"), ("exit_one", "ViewInfo"), ("join_all", "Vec < ViewInfo >"), ("overhear", "( )"),
        ("nearby", "( )"), ("add", "Add"), ("later", "u32"), ("tick", "( )"), ("set_mood", "Mood"), ("make", "String"),
        ("unmake", "( )"), ("stop", "( )"), ("save", "( )"), ("fail_if_odd", "u8"), ("light", "u8"),
    ]  # fmt: skip
    queries = [("total", "( )")]
    # None: the handler takes no argument, and any payload.
    arguments = {
        "join_one": VIEW_ID, "exit_one": VIEW_INFO, "join_all": {"list": VIEW_INFO}, "overhear": None, "nearby": None,
        "add": ADD, "later": "u32", "tick": None, "set_mood": MOOD, "make": "str", "unmake": None, "stop": None,
        "save": None, "fail_if_odd": "u8", "light": "u8",
    }  # fmt: skip
    presence = {"join_one": "view", "exit_one": "info", "join_all": "infos"}
    options = {"struct": [["title", "str"], ["period_ms", "u32"]]}

    @staticmethod
    def init(cx, options):
        cx.subscribe(cx.vm.scope, "view-join", "join_one")
        cx.subscribe(cx.vm.scope, "view-exit", "exit_one")
        cx.subscribe(cx.vm.scope, "user-enter", "join_all")
        cx.subscribe("*", "*", "overhear")
        cx.subscribe("board", "add", "add")
        cx.subscribe("board", "*", "nearby")
        cx.subscribe("*", "mood", "set_mood")
        for name in ("make", "unmake", "stop", "save"):
            cx.subscribe("board", name, name)
        cx.subscribe("board", "break", "fail_if_odd")
        cx.subscribe("board", "fuse", "light")
        cx.future(0, "tick", every=options[1] * MS)
        return {
            "title": options[0], "members": {}, "mood": ("Calm", None), "numbers": [], "level": 0.0, "last": None,
            "timer": None, "piece": None, "heard": [],
        }  # fmt: skip

    @staticmethod
    def note(me, cx, handler):
        heard = "" if cx.vm.heard is None else " {}/{} {}".format(*cx.vm.heard)
        me["heard"] = [*me["heard"], handler + heard][-12:]

    @staticmethod
    def join_one(me, cx, view):
        Board.note(me, cx, "join_one")
        me["members"][view] = me["members"].get(view, 0) + 1

    @staticmethod
    def exit_one(me, cx, view):
        Board.note(me, cx, "exit_one")
        me["members"].pop(view[0], None)
        me["numbers"].append(-1 if view[1] is None else len(view[1]))

    @staticmethod
    def join_all(me, cx, views):
        Board.note(me, cx, "join_all")
        me["numbers"].append(len(views) * 100 + len(cx.state.views))

    @staticmethod
    def overhear(me, cx):
        Board.note(me, cx, "overhear")

    @staticmethod
    def nearby(me, cx):
        Board.note(me, cx, "nearby")

    @staticmethod
    def add(me, cx, add):
        Board.note(me, cx, "add")
        me["numbers"].append(add[0] + cx.draw("range", -3, 3))
        me["level"] = sin(me["level"] + add[0] / 10.0)
        me["last"] = cx.vm.sender
        me["timer"] = [cx.future(250 * MS, "later", write("u32", add[0]))]
        cx.publish("board", "added", write(ADD, add))
        cx.publish("board", "done")

    @staticmethod
    def later(me, cx, number):
        Board.note(me, cx, "later")
        me["level"] = me["level"] * 2.0 + cx.draw("f64") - number
        me["last"] = cx.vm.sender

    @staticmethod
    def tick(me, cx):
        Board.note(me, cx, "tick")
        me["numbers"] = [*me["numbers"], cx.draw("below", 1000)][-6:]

    @staticmethod
    def set_mood(me, cx, mood):
        Board.note(me, cx, "set_mood")
        me["mood"] = mood

    @staticmethod
    def make(me, cx, text):
        Board.note(me, cx, "make")
        me["piece"] = cx.create(Piece, write("str", text))
        me["numbers"].append(int(cx.set_well_known("piece", me["piece"])))
        answer = cx.call(me["piece"], "grow", write("u64", 2))
        me["numbers"].append(answer[0])

    @staticmethod
    def unmake(me, cx):
        Board.note(me, cx, "unmake")
        if me["piece"] is not None:
            me["numbers"].append(int(cx.destroy(me["piece"])))
        me["piece"] = None

    @staticmethod
    def stop(me, cx):
        Board.note(me, cx, "stop")
        if me["timer"] is not None:
            me["numbers"].append(int(cx.cancel(me["timer"][0])))
        me["numbers"].append(cx.cancel_all("tick"))
        cx.unsubscribe("board", "*", "nearby")

    @staticmethod
    def save(me, cx):
        Board.note(me, cx, "save")
        cx.persist(write(SAVED, (me["title"], sum(me["numbers"]))))
        me["numbers"].append(1)

    @staticmethod
    def fail_if_odd(me, cx, number):
        Board.note(me, cx, "fail_if_odd")
        me["level"] = cx.draw("f64")
        cx.future(1 * MS, "later", write("u32", 7))
        cx.publish("board", "broken", write("u8", number))
        if number % 2:
            raise Failed

    @staticmethod
    def light(me, cx, number):
        Board.note(me, cx, "light")
        cx.future(10 * MS, "fail_if_odd", write("u8", number))
        cx.future(0, "later", write("u32", 0))


class App:
    id, version, persists = "org.example.vectors", 7, 2
    models = [Board, Piece]
