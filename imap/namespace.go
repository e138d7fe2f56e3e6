package imap

import (
	"context"

	"github.com/posthouse-mail/posthouse/storage"
)

// parseNamespace reads NAMESPACE (RFC 9051 §6.3.10): everything is personal.
func parseNamespace(*parser) request {
	return requestFunc(func(_ context.Context, s *session) (result, error) {
		s.out.text(`* NAMESPACE (("" "` + storage.Separator + `")) NIL NIL`)
		s.out.end()
		return result{}, nil
	})
}
