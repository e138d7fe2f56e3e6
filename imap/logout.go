package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"
)

// parseLogout reads LOGOUT (RFC 9051 §6.1.3).
func parseLogout(*parser) request {
	return requestFunc(func(_ context.Context, s *session) (result, error) {
		s.out.status("*", "BYE", "", "Goodbye")
		s.state = imap.ConnStateLogout
		return result{}, nil
	})
}
