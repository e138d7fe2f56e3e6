package imap

import "context"

// parseStartTLS reads STARTTLS (RFC 9051 §6.2.1).
func parseStartTLS(*parser) request { return requestFunc(runStartTLS) }

// runStartTLS answers and shakes hands. What the client sent behind the
// command in clear text ends the session: nobody knows who wrote it.
func runStartTLS(ctx context.Context, s *session) (result, error) {
	if !s.canStartTLS() {
		return result{}, bad("STARTTLS is not available")
	}
	if s.conn.Buffered() > 0 {
		return result{}, &goodbye{text: "Unexpected input after STARTTLS", err: bad("Unexpected input after STARTTLS")}
	}
	s.out.status(s.running.tag, "OK", "", "Begin TLS negotiation now")
	if err := s.out.release(); err != nil {
		return result{}, &broken{err}
	}
	if err := s.conn.StartTLS(ctx, s.gate.tls); err != nil {
		return result{}, &broken{err}
	}
	s.bad = 0
	s.forgetTold()
	s.out.reset()
	return result{answered: true}, nil
}
