package local

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/engine"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage/internal/shape"
)

// Open returns a message's content.
func (m *mailbox) Open(ctx context.Context, uid imap.UID) (message.OpenBody, error) {
	rec, err := m.record(ctx, uid)
	if err != nil {
		return nil, err
	}
	return m.openRecord(ctx, &rec)
}

func (m *mailbox) openRecord(ctx context.Context, rec *record) (message.OpenBody, error) {
	body, err := m.openBody(ctx, rec)
	if err != nil {
		return nil, err
	}
	return message.JoinOpen(rec.prefix, body), nil
}

// openBody opens what follows the prefix.
func (m *mailbox) openBody(ctx context.Context, rec *record) (message.OpenBody, error) {
	body, err := m.s.openRecord(rec)
	if errors.Is(err, engine.ErrNoBlob) {
		// Perhaps the message was expunged after its record was read.
		if _, err := m.record(ctx, imap.UID(rec.uid)); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, fmt.Errorf("content of mailbox %d message %d: %w", m.id, rec.uid, failure(err))
	}
	return body, nil
}

// openRecord opens what follows the prefix of a record.
func (s *Store) openRecord(rec *record) (message.OpenBody, error) {
	if rec.blob == 0 {
		return nothing{}, nil
	}
	body, err := s.e.Open(rec.blob)
	if err != nil {
		return nil, err
	}
	switch size := rec.bodySize(); {
	case rec.offset == 0 && size == body.Size():
		return body, nil
	case rec.offset+size > body.Size():
		body.Close()
		return nil, ErrDamaged
	default:
		return &piece{io.NewSectionReader(body, rec.offset, size), body}, nil
	}
}

// piece is a message that was written together with others.
type piece struct {
	*io.SectionReader
	io.Closer
}

// nothing is an empty body.
type nothing struct{}

func (nothing) Size() int64                       { return 0 }
func (nothing) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
func (nothing) Close() error                      { return nil }

// Index returns a message's part index. That of the body is cached, and made
// again when the cache was lost.
func (m *mailbox) Index(ctx context.Context, uid imap.UID) (*message.Part, error) {
	rec, err := m.record(ctx, uid)
	if err != nil {
		return nil, err
	}
	return m.indexRecord(ctx, &rec)
}

func (m *mailbox) indexRecord(ctx context.Context, rec *record) (*message.Part, error) {
	index, err := m.bodyIndex(ctx, rec)
	if err != nil || len(rec.prefix) == 0 {
		return index, err
	}
	return shape.Index(rec.prefix, index, func() (message.OpenBody, error) { return m.openRecord(ctx, rec) })
}

func (m *mailbox) bodyIndex(ctx context.Context, rec *record) (*message.Part, error) {
	key := indexKey(rec.place)
	if rec.blob != 0 {
		v, ok, err := m.s.e.Get(key)
		if err != nil {
			return nil, failure(err)
		}
		if ok {
			if index, err := message.DecodePart(v); err == nil {
				return index, nil
			}
		}
	}
	body, err := m.openBody(ctx, rec)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	index, err := message.Parse(body, m.s.options.Limits)
	if err != nil || rec.blob == 0 {
		return index, err
	}
	if v, err := index.AppendBinary(nil); err == nil {
		// Without the cache it is only slower, so its errors are not the caller's.
		m.s.e.PutCache(key, v)
	}
	return index, nil
}
