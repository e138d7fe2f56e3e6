package imap

import (
	"context"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

func TestLongSearchTellsHowFarItIs(t *testing.T) {
	s, addr := newServer(t, func(s *Server) { s.Timeouts.Progress = time.Nanosecond })
	for range 100 {
		deliver(t, s.Store, plainMessage)
	}
	c := login(t, addr)
	c.ok("SELECT INBOX")
	require.Regexp(t, `^(\* OK \[INPROGRESS \("t3" \d+ 100\)\] Still at it\r\n)+\* SEARCH\r\n$`, c.ok("SEARCH BODY nothing"))
}

func TestProgressCanBeTurnedOff(t *testing.T) {
	p := pace{every: Timeouts{Progress: -1}.progress()}
	for range 10 {
		require.False(t, p.isDue())
	}
}

func TestClockIsReadRarelyWhileStepsAreFast(t *testing.T) {
	p := pace{every: time.Hour}
	reads, last := 0, time.Time{}
	for range 10_000 {
		require.False(t, p.isDue())
		if p.seen != last {
			reads, last = reads+1, p.seen
		}
	}
	require.Less(t, reads, 2000) // 10,000/33 on a machine that never stops for a millisecond
}

// slowStore copies when it is told to.
type slowStore struct {
	storage.Store
	copies chan struct{}
}

type slowAccount struct {
	storage.Account
	copies chan struct{}
}

type slowMailbox struct {
	storage.Mailbox
	copies chan struct{}
}

func (s slowStore) Account(ctx context.Context, user string) (storage.Account, error) {
	a, err := s.Store.Account(ctx, user)
	return slowAccount{a, s.copies}, err
}

func (a slowAccount) Mailbox(ctx context.Context, name string) (storage.Mailbox, error) {
	m, err := a.Account.Mailbox(ctx, name)
	if err != nil {
		return nil, err
	}
	return slowMailbox{m, a.copies}, nil
}

func (m slowMailbox) Copy(ctx context.Context, uids imap.UIDSet, dest string) (storage.Copied, error) {
	<-m.copies
	return m.Mailbox.Copy(ctx, uids, dest)
}

func TestSlowCopyTellsThatItIsStillAtIt(t *testing.T) {
	copies := make(chan struct{})
	s, addr := newServer(t, func(s *Server) {
		s.Store = slowStore{memory.New(), copies}
		s.Timeouts.Progress = time.Millisecond
	})
	deliver(t, s.Store, plainMessage)
	c := login(t, addr)
	c.ok("SELECT INBOX")
	c.send("x COPY 1 Sent\r\n")
	for range 2 {
		require.Equal(t, `* OK [INPROGRESS ("x" NIL NIL)] Still at it`, c.line())
	}
	close(copies)
	_, answer := c.until("x")
	require.Contains(t, answer, "OK [COPYUID ")
	require.Empty(t, c.ok("NOOP"))
}
