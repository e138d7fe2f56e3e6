package memory

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/storagetest"
)

func TestDeliveredMessageCanBeListedAndRead(t *testing.T) {
	s := New()
	receipts, err := s.Deliver(t.Context(), &storage.Delivery{
		Body:    message.FromBytes([]byte("Subject: hi\r\n\r\nbody\r\n")),
		Targets: []storage.Target{{User: "alice@example.test", Prefix: []byte("Return-Path: <bob@example.test>\r\n")}},
	})
	require.NoError(t, err)
	require.NoError(t, receipts[0].Err)
	a, err := s.Account(t.Context(), "alice@example.test")
	require.NoError(t, err)
	m, err := a.Mailbox(t.Context(), "inbox")
	require.NoError(t, err)
	for msg, err := range m.Messages(t.Context(), 0) {
		require.NoError(t, err)
		body, err := m.Open(t.Context(), msg.UID)
		require.NoError(t, err)
		text, err := io.ReadAll(message.NewReader(body))
		require.NoError(t, err)
		require.Equal(t, "Return-Path: <bob@example.test>\r\nSubject: hi\r\n\r\nbody\r\n", string(text))
	}
}

func TestStoreKeepsThePromisesOfStorage(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store {
		s := New()
		t.Cleanup(func() { s.Close() })
		return s
	})
}

func TestClosedStoreRefusesEverything(t *testing.T) {
	s := New()
	a, err := s.Account(t.Context(), "a")
	require.NoError(t, err)
	m, err := a.Mailbox(t.Context(), "INBOX")
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = s.Account(t.Context(), "a")
	require.ErrorIs(t, err, storage.ErrClosed)
	_, err = m.Status(t.Context())
	require.ErrorIs(t, err, storage.ErrClosed)
	_, err = s.Deliver(t.Context(), &storage.Delivery{Body: message.FromBytes(nil)})
	require.ErrorIs(t, err, storage.ErrClosed)
}

func TestStoreKeepsThePromisesAboutQuotas(t *testing.T) {
	storagetest.RunQuota(t, func(t *testing.T, settings func(string) storage.Settings, now func() time.Time) storage.Store {
		s := NewWith(Options{Settings: settings, Now: now})
		t.Cleanup(func() { s.Close() })
		return s
	})
}

func TestDefaultsHaveKinds(t *testing.T) {
	storagetest.RunDefaults(t, func(t *testing.T) storage.Store {
		s := New()
		s.defaults = storagetest.KindDefaults()
		t.Cleanup(func() { s.Close() })
		return s
	})
}

func TestExpungedMessagesAreRetained(t *testing.T) {
	storagetest.RunRetain(t, func(t *testing.T, settings func(string) storage.Settings, now func() time.Time) storage.Store {
		s := NewWith(Options{Settings: settings, Now: now})
		t.Cleanup(func() { s.Close() })
		return s
	})
}

func TestNewMailboxesInheritNoListWhereListsAreInherited(t *testing.T) {
	storagetest.RunACLInherit(t, func(*testing.T) storage.Store {
		return NewWith(Options{Settings: func(domain string) storage.Settings {
			if domain != "example.test" {
				return storage.Settings{}
			}
			return storage.Settings{ACL: storage.ACLInherit}
		}})
	})
}
