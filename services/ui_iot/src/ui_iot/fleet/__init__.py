"""What a tenant's administrators do about many devices: device profiles, enrolment profiles, imports."""
