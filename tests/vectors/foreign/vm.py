"""The virtual machine: models, events, futures and snapshots (MODEL.md, 3, 4, 7 to 9)."""

import copy

import msgpack

from .encoding import array, read, write
from .keys import derive
from .stream import Stream
from .wire import Refused

VIEW_ID = {"id": 16}
VIEW_INFO = {"struct": [["view_id", VIEW_ID], ["view_data", {"option": "bytes"}]]}
NIL = b"\xc0"
OTHER_NAMES = {"user-enter": "view-join", "user-exit": "view-exit"}
PRESENCE = {"view-join", "view-exit", *OTHER_NAMES}


class Failed(Exception):
    """A handler has panicked."""


def version_hash(app):
    texts = [f"format 1 app version {app.version}"]
    for model in app.models:
        texts += [model.id, f"version {model.version} fields {len(model.fields)}", model.code]
        texts += [part for name, text, _ in model.fields for part in (name, text)]
        for what, methods in (("handlers", model.handlers), ("queries", model.queries)):
            texts.append(f"{what} {len(methods)}")
            texts += [part for name, text in methods for part in (name, text)]
    if app.persists is not None:
        texts.append(f"persists version {app.persists}")
    encoded = (text.encode() for text in texts)
    return derive(
        "teatime v1 model version",
        *(len(text).to_bytes(8, "big") + text for text in encoded),
    )


class State:
    """What a snapshot contains, and a turn changes."""

    def __init__(self):
        self.time = self.seq = self.position = 0
        self.next_model = self.next_future = self.next_subscription = 1
        self.views, self.names, self.models = {}, {}, {}
        self.subscriptions, self.futures = [], []
        self.persisted = None


class Vm:
    def __init__(self, app, session, options):
        self.app, self.session, self.scope = app, session, session.hex()
        self.version_hash = version_hash(app)
        self.state = State()
        self.queue, self.faults = [], []
        self.sender = self.heard = self.answer = None
        self.failed, self.calls = False, True
        self.create(app.models[0], options)
        self.run_queue()

    # Input.

    def deliver(self, time, sender, scope, event, payload):
        self._external(time, lambda: self._event(sender, scope, event, payload))

    def views(self, time, exited, joined):
        self._external(time, lambda: self._presence(exited, joined))

    def marker(self, time):
        self._external(time, lambda: None)

    def advance(self, time):
        while due := [future for future in self.state.futures if future[0] <= time]:
            self._turn(lambda: self._future(min(due)))
        self.state.time = max(self.state.time, time)

    def _external(self, time, turn):
        self.advance(time)
        self.state.seq += 1
        self._turn(turn)

    def _turn(self, turn):
        """A turn in which a handler panics is repeated without any handler."""
        before = copy.deepcopy(self.state)
        self.failed, self.calls, self.sender = False, True, None
        turn()
        if self.failed:
            self.state, self.calls = before, False
            faults = list(self.faults)
            turn()
            # They are reported once.
            self.faults = faults

    def _future(self, future):
        time, _, model, method, every, handle, payload = future
        self.state.futures = [one for one in self.state.futures if one[1] != future[1]]
        self.state.time = time
        if every:
            again = (time + every, self._next_future(), model, method, every, handle, payload)
            self.state.futures.append(again)
        self.call(model, method, payload)
        self.run_queue()

    def _event(self, sender, scope, event, payload):
        self.sender = sender
        if scope == self.scope and event in PRESENCE:
            self.faults.append("reserved topic")
            return
        self._deliver_each(scope, event, sender.hex(), lambda kind: payload)

    def _presence(self, exited, joined):
        for event, views in (("view-exit", exited), ("view-join", joined)):
            effective = []
            for view, data in views:
                if (view in self.state.views) == (event == "view-join"):
                    self.faults.append("unpaired")
                    continue
                if event == "view-join":
                    self.state.views[view] = data
                else:
                    del self.state.views[view]
                effective.append((view, data))
                self._deliver_presence(event, view=write(VIEW_ID, view), info=write(VIEW_INFO, (view, data)))
            if effective:
                views = array(write(VIEW_ID, view) for view, _ in effective)
                infos = array(write(VIEW_INFO, one) for one in effective)
                self._deliver_presence(event, views=views, infos=infos)

    def _deliver_presence(self, event, **payloads):
        """To the handlers that take these forms. One that takes none of the four is called for each view."""

        def payload_for(kind):
            return NIL if kind is None and "view" in payloads else payloads.get(kind)

        self._deliver_each(self.scope, event, "reflector", payload_for)

    # Events.

    def _topics(self, scope, event):
        """The topics of an event that have a subscription, in the order of delivery."""
        topics = [("*", "*"), (scope, "*"), ("*", event), (scope, event)]
        subscribed = {one[:2] for one in self.state.subscriptions}
        is_wildcard = any("*" in topic for topic in subscribed)
        return [topic for topic in (topics if is_wildcard else topics[3:]) if topic in subscribed]

    def _listeners(self, topic):
        """Who has subscribed now, and still has when its turn comes."""
        for one in [one for one in self.state.subscriptions if one[:2] == topic]:
            if one in self.state.subscriptions:
                yield one[3], one[4]

    def _deliver_each(self, scope, event, source, payload_for):
        if not self.calls:
            return
        for topic in self._topics(scope, event):
            for model, method in self._listeners(topic):
                definition = self.state.models[model][0]
                payload = payload_for(definition.presence.get(definition.handlers[method][0]))
                if payload is not None:
                    self.heard = (scope, event, source)
                    self.call(model, method, payload)
                    self.heard = None
                    self.run_queue()

    def publish(self, model, scope, event, payload):
        if scope == self.scope and event in PRESENCE:
            self.faults.append("reserved topic")
        elif topics := self._topics(scope, event):
            self.queue.append((topics, (scope, event, f"M{model}"), payload))

    def run_queue(self):
        while self.queue:
            topics, self.heard, payload = self.queue.pop(0)
            for topic in topics:
                for model, method in self._listeners(topic):
                    self.call(model, method, payload)
        self.heard = None

    def call(self, model, method, payload):
        if model not in self.state.models or not self.calls:
            return
        definition, fields = self.state.models[model]
        name = definition.handlers[method][0]
        try:
            self._handle(definition, fields, model, name, payload)
        except Refused:
            self.faults.append("payload")
        except Failed:
            self.failed = True
            self.faults.append("panicked")

    def _handle(self, definition, fields, model, name, payload):
        arguments = definition.arguments[name]
        cx = Context(self, model)
        handler = getattr(definition, name)
        return handler(fields, cx) if arguments is None else handler(fields, cx, read(arguments, payload))

    # What handlers do.

    def _next_future(self):
        self.state.next_future += 1
        return self.state.next_future - 1

    def create(self, definition, options):
        model = self.state.next_model
        self.state.next_model += 1
        if model == 1:
            self.state.names["modelRoot"] = 1
        self.state.models[model] = (definition, {})
        fields = definition.init(Context(self, model), read(definition.options, options))
        self.state.models[model][1].update(fields)
        return model

    # Snapshots.

    def snapshot(self):
        s = self.state
        data_kind = {"option": "bytes"}
        return array([
            msgpack.packb(["teatime snapshot", 1]),
            msgpack.packb(self.version_hash),
            msgpack.packb(self.session),
            msgpack.packb(s.time),
            msgpack.packb(s.seq),
            msgpack.packb([s.next_model, s.next_future, s.next_subscription]),
            msgpack.packb(s.position),
            array(array([write(VIEW_ID, view), write(data_kind, data)]) for view, data in s.views.items()),
            msgpack.packb(list(s.names.items())),
            array(self._model(*one) for one in sorted(s.models.items(), key=lambda one: one[0])),
            msgpack.packb(s.subscriptions),
            msgpack.packb([[list(one[:6]), one[6]] for one in sorted(s.futures)]),
            msgpack.packb([] if s.persisted is None else [list(s.persisted)]),
        ])  # fmt: skip

    def _model(self, model, object):
        definition, fields = object
        state = array(write(kind, fields[name]) for name, _, kind in definition.fields)
        at = self.app.models.index(definition)
        return array([msgpack.packb(model), msgpack.packb(at), state])


class Context:
    """What a handler can do."""

    def __init__(self, vm, model):
        self.vm, self.state, self.model = vm, vm.state, model
        self.definition = vm.state.models[model][0]

    def _method(self, name):
        return [one for one, _ in self.definition.handlers].index(name)

    def _known(self, scope, event):
        """The name under which joins and exits are published."""
        return OTHER_NAMES.get(event, event) if scope == self.vm.scope else event

    def subscribe(self, scope, event, name):
        event = self._known(scope, event)
        order = self.state.next_subscription
        self.state.next_subscription += 1
        self.state.subscriptions.append((scope, event, order, self.model, self._method(name)))

    def unsubscribe(self, scope, event, name):
        gone = (scope, self._known(scope, event), self.model, self._method(name))
        kept = [one for one in self.state.subscriptions if (*one[:2], *one[3:]) != gone]
        self.state.subscriptions = kept

    def publish(self, scope, event, payload=NIL):
        self.vm.publish(self.model, scope, event, payload)

    def future(self, after, name, payload=NIL, every=0):
        future = self.vm._next_future()
        time = self.state.time + (every or after)
        due = (time, future, self.model, self._method(name), every, future, payload)
        self.state.futures.append(due)
        return future

    def _cancel(self, goes):
        before = len(self.state.futures)
        kept = [one for one in self.state.futures if not (one[2] == self.model and goes(one))]
        self.state.futures = kept
        return before - len(kept)

    def cancel(self, handle):
        return self._cancel(lambda one: one[5] == handle) > 0

    def cancel_all(self, name):
        return self._cancel(lambda one: one[3] == self._method(name))

    def create(self, definition, options):
        return self.vm.create(definition, options)

    def destroy(self, model):
        if model == 1 or model not in self.state.models:
            return False
        del self.state.models[model]
        self.state.subscriptions = [one for one in self.state.subscriptions if one[3] != model]
        self.state.futures = [one for one in self.state.futures if one[2] != model]
        self.state.names = {name: one for name, one in self.state.names.items() if one != model}
        return True

    def set_well_known(self, name, model):
        return self.state.names.setdefault(name, model) == model

    def call(self, model, name, payload):
        """What the handler of another model answers."""
        outer, self.vm.answer = self.vm.answer, None
        definition, fields = self.state.models[model]
        self.vm._handle(definition, fields, model, name, payload)
        answer, self.vm.answer = self.vm.answer, outer
        return NIL if answer is None else answer

    def answer(self, payload):
        self.vm.answer = payload

    def persist(self, data):
        assert self.model == 1
        self.state.persisted = (self.vm.app.persists, data)

    def draw(self, what, *arguments):
        stream = Stream(self.vm.session, self.state.position)
        drawn = getattr(stream, what)(*arguments)
        self.state.position = stream.position
        return drawn
