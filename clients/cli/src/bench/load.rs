//! Load for the reflector.
