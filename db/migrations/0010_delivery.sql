-- delivery: nothing yet.

SET LOCAL ROLE pulse_owner;

RESET ROLE;
