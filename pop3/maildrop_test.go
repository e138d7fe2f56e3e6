package pop3

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

func TestP01NumbersThatNameNoMessage(t *testing.T) {
	s := startWith(t, func(s *Server) { s.Limits.BadCommands = 1000 }, threeMessages...)
	c := s.login(t)
	for _, args := range []string{"0", "-1", "+1", "4", "99999999999", "99999999999999999999999", "1 2", "one", "0x1", "1_0", "١", ""} {
		for _, command := range []string{"RETR", "DELE", "LIST", "UIDL", "TOP"} {
			full := command + " " + args
			switch {
			case args == "" && (command == "LIST" || command == "UIDL"):
				continue
			case command == "TOP" && args != "1 2":
				full += " 1"
			case command == "TOP":
				full = "TOP 1 99999999999999999999"
			}
			require.Regexp(t, "^-ERR ", c.ask(full), full)
		}
	}
	c.ok("TOP 1 999999999") // RFC 1939 §7: more lines than there are is the whole message
	require.Equal(t, threeMessages[0], c.content())
	c.ok("DELE 1")
	for _, command := range []string{"DELE 1", "RETR 1", "TOP 1 1", "LIST 1", "UIDL 1"} {
		require.Equal(t, "-ERR Message is deleted", c.ask(command))
	}
	require.Equal(t, "+OK 2 83", c.ok("STAT"), "numbers of the others stay")
	c.ok("LIST 3")
}

func TestP02SecondSessionOfAMaildropIsRefused(t *testing.T) {
	s := start(t, threeMessages...)
	first := s.login(t)
	second := s.dial(t)
	second.ok("USER alice")
	require.Equal(t, "-ERR [IN-USE] The maildrop is open in another session", second.ask("PASS pw"))
	second.ok("USER bob")
	second.ok("PASS pw")
	third := s.dial(t)
	for range 20 { // however fast, the next session gets in once QUIT is answered
		first.ok("QUIT")
		third.ok("USER alice")
		third.ok("PASS pw")
		first, third = third, s.dial(t)
	}
}

func TestP02LostSessionGivesTheMaildropBack(t *testing.T) {
	s := start(t, threeMessages...)
	s.login(t).Close()
	s.ended(t)
	s.login(t)
}

func TestSessionsOfOneMaildropUpToTheLimit(t *testing.T) {
	s := startWith(t, func(s *Server) { s.Limits.Sessions = 2 }, threeMessages...)
	first, second := s.login(t), s.login(t)
	third := s.dial(t)
	third.ok("USER alice")
	require.Regexp(t, `^-ERR \[IN-USE\] `, third.ask("PASS pw"))
	first.ok("DELE 1")
	first.ok("QUIT")
	require.Equal(t, "-ERR Message is gone", second.ask("RETR 1"))
	second.ok("DELE 1")
	second.ok("QUIT")
	require.Equal(t, 2, s.count(t))
}

func TestP03MessageExpungedElsewhereStaysListedAndLaterOnesAreNot(t *testing.T) {
	s := start(t, threeMessages...)
	c := s.login(t)
	before := c.ok("STAT")
	_, err := s.inbox(t).Expunge(context.Background(), imap.UIDSetNum(2))
	require.NoError(t, err)
	s.deliver(t, "Subject: late\r\n\r\n")
	require.Equal(t, before, c.ok("STAT"))
	require.Equal(t, "+OK 2 0", c.ok("LIST 2"))
	c.ok("LIST")
	require.Equal(t, "1 38\r\n2 0\r\n3 44\r\n", c.content())
	require.Equal(t, "-ERR Message is gone", c.ask("RETR 2"))
	require.Equal(t, "-ERR Message is gone", c.ask("TOP 2 0"))
	require.Equal(t, before, c.ok("STAT"))
	require.Equal(t, "-ERR No such message", c.ask("RETR 4"))
	c.ok("DELE 2")
	c.ok("QUIT")
	require.Equal(t, 3, s.count(t))
}

func TestP04LostConnectionDeletesNothing(t *testing.T) {
	s := start(t, threeMessages...)
	c := s.login(t)
	c.ok("DELE 1")
	c.Close()
	s.ended(t)
	require.Equal(t, 3, s.count(t))
}

func TestP04NeitherShutdownNorCloseDeletes(t *testing.T) {
	for name, stop := range map[string]func(s *Server) error{
		"shutdown": func(s *Server) error { return s.Shutdown(context.Background()) },
		"close":    (*Server).Close,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, threeMessages...)
			c := s.login(t)
			c.ok("DELE 1")
			require.NoError(t, stop(s.Server))
			if name == "shutdown" {
				require.Equal(t, "-ERR [SYS/TEMP] Server is stopping", c.line())
			}
			_, err := c.r.ReadByte()
			require.Error(t, err)
			s.ended(t)
			require.Equal(t, 3, s.count(t))
		})
	}
}

func TestP04IdleSessionEndsWithoutAnAnswerAndDeletesNothing(t *testing.T) {
	s := startWith(t, func(s *Server) { s.Timeouts.Idle = 20 * time.Millisecond }, threeMessages...)
	c := s.login(t)
	_, _ = io.WriteString(c, "DELE 1\r\n")
	rest, err := io.ReadAll(c.r)
	require.NoError(t, err)
	require.NotContains(t, string(rest), "-ERR")
	s.ended(t)
	require.Equal(t, 3, s.count(t))
}

// flags returns which messages have \Seen.
func (s *testServer) flags(t testing.TB) map[imap.UID]bool {
	t.Helper()
	flags := map[imap.UID]bool{}
	for m, err := range s.inbox(t).Messages(context.Background(), 0) {
		require.NoError(t, err)
		flags[m.UID] = m.Flags.Has(storage.Seen)
	}
	return flags
}

func TestRetrSetsSeenWhileTheSessionGoesOn(t *testing.T) {
	s := start(t, threeMessages...)
	c := s.login(t)
	c.ok("RETR 2")
	c.content()
	c.ok("TOP 3 100")
	c.content()
	require.Eventually(t, func() bool { return s.flags(t)[2] }, 5*time.Second, time.Millisecond)
	require.Equal(t, map[imap.UID]bool{1: false, 2: true, 3: false}, s.flags(t))
	c.ok("RETR 1")
	c.content()
	c.ok("DELE 1")
	c.ok("RSET")
	c.ok("DELE 3")
	c.ok("QUIT")
	require.Equal(t, map[imap.UID]bool{1: true, 2: true}, s.flags(t))
}

func TestUniqueIDsDoNotChange(t *testing.T) {
	s := start(t, threeMessages...)
	c := s.login(t)
	id := strings.Fields(c.ok("UIDL 3"))[2]
	require.Regexp(t, `^[!-~]{1,70}$`, id)
	c.ok("DELE 1")
	c.ok("QUIT")
	require.Equal(t, id, strings.Fields(s.login(t).ok("UIDL 2"))[2])
}

func TestALargeMaildropIsListedUpToTheLimit(t *testing.T) {
	s := startWith(t, func(s *Server) { s.Limits.Messages = 2 }, threeMessages...)
	c := s.login(t)
	require.Equal(t, "+OK 2 77", c.ok("STAT"))
	c.ok("DELE 1")
	c.ok("QUIT")
	require.Equal(t, "+OK 2 83", s.login(t).ok("STAT"), "the others come into sight")
}

// failing is a store whose INBOXes fail where they are told to.
type failing struct {
	storage.Store
	open, read, expunge, flags error
}

func (f failing) Account(ctx context.Context, user string) (storage.Account, error) {
	a, err := f.Store.Account(ctx, user)
	return failingAccount{a, f}, err
}

type failingAccount struct {
	storage.Account
	f failing
}

func (a failingAccount) Mailbox(ctx context.Context, name string) (storage.Mailbox, error) {
	if a.f.open != nil {
		return nil, a.f.open
	}
	m, err := a.Account.Mailbox(ctx, name)
	return failingMailbox{m, a.f}, err
}

type failingMailbox struct {
	storage.Mailbox
	f failing
}

func (m failingMailbox) Open(ctx context.Context, uid imap.UID) (message.OpenBody, error) {
	b, err := m.Mailbox.Open(ctx, uid)
	if m.f.read != nil {
		b = failingBody{b, m.f.read}
	}
	return b, err
}

func (m failingMailbox) Expunge(ctx context.Context, uids imap.UIDSet) (imap.UIDSet, error) {
	if m.f.expunge != nil {
		return nil, m.f.expunge
	}
	return m.Mailbox.Expunge(ctx, uids)
}

func (m failingMailbox) StoreFlags(ctx context.Context, u storage.FlagUpdate) ([]storage.Message, imap.UIDSet, error) {
	if m.f.flags != nil {
		return nil, nil, m.f.flags
	}
	return m.Mailbox.StoreFlags(ctx, u)
}

type failingBody struct {
	message.OpenBody
	err error
}

func (b failingBody) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) < 10 {
		return b.OpenBody.ReadAt(p, off)
	}
	n, _ := b.OpenBody.ReadAt(p[:max(0, 10-off)], off)
	return n, b.err
}

var errDisk = errors.New("secret.path: input/output error")

func startFailing(t *testing.T, f failing) *testServer {
	return startWith(t, func(s *Server) { f.Store = s.Store; s.Store = f }, threeMessages...)
}

func TestFailedUpdateIsToldAndTellsNothing(t *testing.T) {
	s := startFailing(t, failing{expunge: errDisk})
	c := s.login(t)
	c.ok("DELE 1")
	require.Equal(t, "-ERR [SYS/TEMP] Deleted messages were not removed", c.ask("QUIT"))
	_, err := c.r.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, 3, s.count(t))
}

func TestMaildropThatCannotBeOpenedIsATemporaryFailureAndIsGivenBack(t *testing.T) {
	s := startFailing(t, failing{open: errDisk})
	c := s.dial(t)
	for range 3 {
		c.ok("USER alice")
		require.Equal(t, "-ERR [SYS/TEMP] Temporary failure, please try again later", c.ask("PASS pw"))
	}
	c.ok("QUIT")
}

func TestContentThatCannotBeReadToItsEndDoesNotLookWhole(t *testing.T) {
	s := startFailing(t, failing{read: errDisk})
	c := s.login(t)
	_, _ = io.WriteString(c, "RETR 1\r\n")
	rest, _ := io.ReadAll(c.r)
	require.NotContains(t, string(rest), "\r\n.\r\n")
	require.NotContains(t, string(rest), "secret.path")
	s.ended(t)
	require.False(t, s.flags(t)[1])
}

func TestMailIsServedWhenFlagsCannotBeSet(t *testing.T) {
	s := startFailing(t, failing{flags: errDisk})
	c := s.login(t)
	c.ok("RETR 1")
	require.Equal(t, threeMessages[0], c.content())
	c.ok("QUIT")
}
