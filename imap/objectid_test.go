package imap

import (
	"context"
	"fmt"
	"iter"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

var (
	emailIDs   = regexp.MustCompile(`EMAILID \(([\w-]+)\)`)
	mailboxIDs = regexp.MustCompile(`MAILBOXID \((\w+)\)`)
)

func TestEmailIDStaysWithAMessageAndFindsItsCopies(t *testing.T) {
	for name, open := range openStores {
		t.Run(name, func(t *testing.T) {
			_, addr := newServer(t, func(s *Server) {
				s.Store = open(t)
				deliver(t, s.Store, plainMessage)
				deliver(t, s.Store, mixedMessage)
			})
			c := login(t, addr)
			c.ok("SELECT INBOX")
			ids := emailIDs.FindAllStringSubmatch(c.ok("FETCH 1:2 EMAILID"), -1)
			require.NotEqual(t, ids[0][1], ids[1][1])
			c.ok("COPY 1 Sent")
			c.ok("COPY 2 Sent")
			c.ok("MOVE 1 Trash")
			require.Contains(t, c.ok("SEARCH EMAILID "+ids[1][1]), "* SEARCH 1\r\n")
			c.ok("SELECT Trash")
			require.Contains(t, c.ok("FETCH 1 EMAILID"), ids[0][1])
			c.ok("SELECT Sent")
			require.Contains(t, c.ok("UID SEARCH EMAILID "+ids[0][1]), "* SEARCH 1\r\n")
			require.Contains(t, c.ok("UID SEARCH EMAILID "+ids[1][1]), "* SEARCH 2\r\n")
		})
	}
}

func TestMailboxIDStaysThroughRenames(t *testing.T) {
	_, addr := newServer(t, nil)
	c := login(t, addr)
	_, made := c.cmd("CREATE x")
	id := mailboxIDs.FindStringSubmatch(made)[1]
	c.ok("RENAME x y")
	require.Contains(t, c.ok("STATUS y (MAILBOXID)"), "("+id+")")
	require.Contains(t, c.ok("SELECT y"), "[MAILBOXID ("+id+")]")
	c.ok("DELETE y")
	_, made = c.cmd("CREATE y")
	require.NotContains(t, made, "("+id+")")
}

func TestThreadIsThatOfTheMessageWhichBeganIt(t *testing.T) {
	root := threadID([]byte("Message-ID: <root@x>\r\n\r\n"), "M1")
	for name, header := range map[string]string{
		"references":       "Message-ID: <c@x>\r\nReferences: <root@x> <b@x>\r\nIn-Reply-To: <b@x>\r\n\r\n",
		"folded":           "references:\r\n <root@x>\r\n <b@x>\r\n\r\n",
		"a reply only":     "In-Reply-To: your message <root@x>\r\nMessage-ID: <b@x>\r\n\r\n",
		"empty references": "References:\r\nIn-Reply-To: <root@x>\r\n\r\n",
	} {
		require.Equal(t, root, threadID([]byte(header), "M2"), name)
	}
	require.NotEqual(t, root, threadID([]byte("Message-ID: <other@x>\r\n\r\n"), "M1"))
	for _, nothing := range []string{"", "Subject: x\r\n\r\n", "Message-ID: <broken\r\n\r\n", "Message-ID: <>\r\n\r\n"} {
		require.Equal(t, threadID(nil, "M1"), threadID([]byte(nothing), "M1"))
		require.NotEqual(t, threadID(nil, "M2"), threadID([]byte(nothing), "M1"))
	}
}

// plainStore hides the optional powers of mailboxes.
type plainStore struct{ storage.Store }

func (s plainStore) Account(ctx context.Context, user string) (storage.Account, error) {
	a, err := s.Store.Account(ctx, user)
	return plainAccount{a}, err
}

type plainAccount struct{ storage.Account }

func (a plainAccount) Mailbox(ctx context.Context, name string) (storage.Mailbox, error) {
	m, err := a.Account.Mailbox(ctx, name)
	if err != nil {
		return nil, err
	}
	return plainMailbox{m}, nil
}

type plainMailbox struct{ storage.Mailbox }

func TestStoresWithoutPowersHaveIDsByPlaceAndNoSaveDates(t *testing.T) {
	_, addr := newServer(t, func(s *Server) {
		deliver(t, s.Store, plainMessage)
		deliver(t, s.Store, plainMessage)
		s.Store = plainStore{s.Store}
	})
	c := login(t, addr)
	c.ok("SELECT INBOX")
	got := c.ok("FETCH 1:2 (EMAILID SAVEDATE)")
	ids := emailIDs.FindAllStringSubmatch(got, -1)
	require.NotEqual(t, ids[0][1], ids[1][1])
	require.Equal(t, 2, strings.Count(got, "SAVEDATE NIL"))
	require.Contains(t, c.ok("SEARCH SAVEDON 14-Mar-2026"), "* SEARCH 1 2\r\n", "INTERNALDATE stands in for it")
	require.Contains(t, c.ok("SEARCH SAVEDATESUPPORTED"), "* SEARCH\r\n")
}

func TestWhatIsReadAlongComesInPieces(t *testing.T) {
	asked := 0
	a := &along[imap.UID]{uidOf: func(uid imap.UID) imap.UID { return uid }, read: func(_ context.Context, set imap.UIDSet) iter.Seq2[imap.UID, error] {
		asked++
		return func(yield func(imap.UID, error) bool) {
			for uid := set[0].Start; uid <= 10_000; uid++ {
				if uid%3 != 0 && !yield(uid, nil) {
					return
				}
			}
		}
	}}
	for uid := range imap.UID(10_050) {
		_, ok, err := a.get(t.Context(), uid)
		require.NoError(t, err)
		require.Equal(t, uid%3 != 0 && uid <= 10_000, ok, uid)
		require.LessOrEqual(t, len(a.ahead), lastPiece)
	}
	require.Less(t, asked, 15)
	_, ok, err := a.get(t.Context(), 1)
	require.True(t, ok && err == nil, "going back is allowed")

	a.read = func(context.Context, imap.UIDSet) iter.Seq2[imap.UID, error] {
		return func(yield func(imap.UID, error) bool) { yield(0, fmt.Errorf("read: %w", iotest.ErrTimeout)) }
	}
	for range 2 {
		_, _, err = a.get(t.Context(), 9000)
		require.ErrorIs(t, err, iotest.ErrTimeout)
	}
}
