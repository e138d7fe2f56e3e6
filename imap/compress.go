package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"
)

type compressRequest struct{ algorithm string }

// parseCompress reads COMPRESS (RFC 4978 §3).
func parseCompress(p *parser) request {
	p.space()
	return &compressRequest{p.word()}
}

// run answers, and compresses from there on. Octets that came behind the command
// may be compressed or not, so they end the session.
func (r *compressRequest) run(_ context.Context, s *session) (result, error) {
	switch {
	case r.algorithm != "DEFLATE":
		return result{}, no("", "Compression mechanism not supported")
	case s.conn.Compressed():
		return result{}, no(imap.ResponseCode("COMPRESSIONACTIVE"), "DEFLATE is active already")
	case s.conn.Buffered() > 0:
		return result{}, &goodbye{text: "Unexpected input after COMPRESS", err: bad("Unexpected input after COMPRESS")}
	}
	s.out.status(s.running.tag, "OK", "", "DEFLATE active")
	if err := s.out.release(); err != nil {
		return result{}, &broken{err}
	}
	if err := s.conn.Compress(); err != nil {
		return result{}, &broken{err}
	}
	s.understood()
	s.out.reset()
	return result{answered: true}, nil
}
