//! The Teatime protocol: messages, MessagePack encoding, limits.
