"""The HTTP way in and out: requests, jobs, prices, events; on the loopback interface only (contract, section 8)."""
