package imap

import (
	"context"
	"strconv"

	"github.com/posthouse-mail/posthouse/storage"
)

// copyRequest is COPY or MOVE, by sequence numbers or UIDs.
type copyRequest struct {
	set  numSet
	kind numKind
	dest string
}

func parseCopy(p *parser, kind numKind) copyRequest {
	p.space()
	r := copyRequest{set: p.numSet(), kind: kind}
	p.space()
	r.dest = p.mailbox()
	return r
}

// copyParser reads COPY and UID COPY (RFC 9051 §6.4.7).
func copyParser(kind numKind) func(*parser) request {
	return func(p *parser) request { r := parseCopy(p, kind); return &r }
}

func (r *copyRequest) run(ctx context.Context, s *session) (result, error) {
	spans, err := r.spans(s)
	if err != nil || len(spans) == 0 {
		return result{}, err
	}
	if _, lowest := s.limitMessages(spans); lowest != 0 {
		return result{}, s.errTooMany() // all or none (RFC 9738 §3.1)
	}
	dest, err := s.place(ctx, r.dest, storage.RightInsert)
	if err != nil {
		return result{}, toDestination(err)
	}
	var c storage.Copied
	s.patiently(func() { c, err = s.copyTo(ctx, s.view.uidSet(spans), &dest) })
	if err != nil {
		return result{}, toDestination(err)
	}
	return result{code: copyUID(c)}, nil
}

// spans returns where the messages to copy stand; none when a set of UIDs
// names none.
func (r *copyRequest) spans(s *session) ([]span, error) {
	return s.view.spans(r.set, r.kind)
}

// copyUID is the response code of RFC 4315 §3, "" when nothing was copied.
func copyUID(c storage.Copied) string {
	if len(c.Source) == 0 || len(c.Source) != len(c.Dest) || c.UIDValidity == 0 {
		return ""
	}
	b := append(strconv.AppendUint([]byte("COPYUID "), uint64(c.UIDValidity), 10), ' ')
	b = append(appendUIDs(b, c.Source), ' ')
	return string(appendUIDs(b, c.Dest))
}

// appendUIDs writes ascending UIDs as a set.
func appendUIDs[T ~uint32](b []byte, uids []T) []byte {
	for i := 0; i < len(uids); {
		j := i + 1
		for j < len(uids) && uids[j] == uids[j-1]+1 {
			j++
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(uids[i]), 10)
		if j > i+1 {
			b = strconv.AppendUint(append(b, ':'), uint64(uids[j-1]), 10)
		}
		i = j
	}
	return b
}
