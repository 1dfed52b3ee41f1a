/* Nothing to call: see observation_link.c. */
