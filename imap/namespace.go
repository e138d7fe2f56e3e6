package imap

import (
	"context"

	"github.com/posthouse-mail/posthouse/internal/utf7"
	"github.com/posthouse-mail/posthouse/storage"
)

// parseNamespace reads NAMESPACE (RFC 9051 §6.3.10, RFC 2342).
func parseNamespace(*parser) request {
	return requestFunc(func(_ context.Context, s *session) (result, error) {
		n := s.namespaces()
		s.out.text(`* NAMESPACE (("" "` + storage.Separator + `"))`)
		s.out.namespace(n.Other)
		s.out.namespace(n.Public)
		s.out.end()
		return result{}, nil
	})
}

// namespace writes a namespace, NIL when it is not served.
func (o *output) namespace(prefix string) {
	if prefix == "" {
		o.text(" NIL")
		return
	}
	if prefix += storage.Separator; !o.utf8 {
		prefix = utf7.Encode(prefix)
	}
	o.text(" ((")
	o.string(prefix)
	o.text(` "` + storage.Separator + `"))`)
}
