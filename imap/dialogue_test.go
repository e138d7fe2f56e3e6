package imap

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/dialogue"
	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/local"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// openStores open the stores that dialogues and benchmarks run over.
var openStores = map[string]func(t testing.TB) storage.Store{
	"memory": func(testing.TB) storage.Store { return memory.New() },
	"local": func(t testing.TB) storage.Store {
		s, err := local.Open(t.TempDir(), local.Options{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	},
}

// TestDialogues plays every dialogue against a server of its own whose user
// alice has three messages, and mailboxes that are not for mail, over each
// store. Where the name of the dialogue begins with "messagelimit" a command
// processes two messages. Where the name of the dialogue begins with "quota" she may have five,
// and one mailbox more.
func TestDialogues(t *testing.T) {
	direct := func(_ *testing.T, addr string) string { return addr }
	for name, open := range openStores {
		t.Run(name, func(t *testing.T) { playDialogues(t, dialogues(t), open, direct) })
	}
}

// TestP13DialoguesThroughAProxy plays them with a proxy between: after the login
// it must not be seen. Left out are those that spell out the greeting, which is
// the proxy's own.
func TestP13DialoguesThroughAProxy(t *testing.T) {
	through := func(t *testing.T, addr string) string { return newProxy(t, frontTo(routeTo(addr)), nil) }
	paths := slices.DeleteFunc(dialogues(t), func(path string) bool {
		name := filepath.Base(path)
		return name == "session.txt" || name == "tls.txt"
	})
	playDialogues(t, paths, openStores["memory"], through)
}

func dialogues(t *testing.T) []string {
	paths, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	return paths
}

// makeOtherKinds makes mailboxes that are not for mail.
func makeOtherKinds(t *testing.T, s storage.Store) {
	account, err := s.Account(t.Context(), "alice")
	require.NoError(t, err)
	require.NoError(t, account.Create(t.Context(), "Plan/Work", storage.NewMailbox{Kind: storage.Calendar}))
	require.NoError(t, account.Create(t.Context(), "Notes", storage.NewMailbox{Kind: storage.Notes}))
	for _, name := range []string{"Plan", "Plan/Work", "Notes"} {
		require.NoError(t, account.Subscribe(t.Context(), name))
	}
}

// playDialogues plays them at the address that reach makes of a server's.
func playDialogues(t *testing.T, paths []string, open func(t testing.TB) storage.Store, reach func(t *testing.T, addr string) string) {
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			s, addr := newServer(t, func(s *Server) {
				s.Store = open(t)
				s.ID = map[string]string{"name": "Posthouse"}
				s.Annotations = map[string]string{"/comment": "Closed on Sunday", "/admin": "mailto:postmaster@example.test"}
				if strings.HasSuffix(path, "-set.txt") {
					s.QuotaAdmin = func(user string) bool { return user == "alice" }
				}
				if strings.HasPrefix(filepath.Base(path), "tls") {
					s.PlainAuth = nil
				}
				if strings.HasPrefix(filepath.Base(path), "messagelimit") {
					s.Limits.Messages = 2
				}
				if isShared(path) {
					sharing(s)
				}
				if strings.HasSuffix(path, "-notes.txt") {
					s.Kinds = []storage.Kind{storage.Mail, storage.Notes}
				}
			})
			makeOtherKinds(t, s.Store)
			deliver(t, s.Store, plainMessage)
			deliver(t, s.Store, mixedMessage)
			deliver(t, s.Store, "Subject: third\r\n\r\nlast one\r\n")
			if strings.HasPrefix(filepath.Base(path), "quota") {
				bound(t, s.Store)
			}
			if isShared(path) {
				makeShared(t, s.Store)
			}
			conn, err := net.Dial("tcp", reach(t, addr))
			require.NoError(t, err)
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			dialogue.Play(t, conn, path, strings.ReplaceAll(string(text), "@UIDVALIDITY@", validityOfInbox(t, s.Store)))
		})
	}
}

// validityOfInbox is what "@UIDVALIDITY@" stands for in a dialogue.
func validityOfInbox(t *testing.T, s storage.Store) string {
	account, err := s.Account(t.Context(), "alice")
	require.NoError(t, err)
	box, err := account.Mailbox(t.Context(), storage.Inbox)
	require.NoError(t, err)
	st, err := box.Status(t.Context())
	require.NoError(t, err)
	return strconv.FormatUint(uint64(st.UIDValidity), 10)
}

// isShared reports whether a dialogue is about what makeShared makes.
func isShared(path string) bool {
	name := filepath.Base(path)
	return strings.HasPrefix(name, "acl") || strings.HasPrefix(name, "shared") || strings.HasPrefix(name, "namespaces")
}

// bound gives alice's account bounds: of five messages, and of one mailbox more
// than she has.
func bound(t *testing.T, s storage.Store) {
	a, err := s.Account(t.Context(), "alice")
	require.NoError(t, err)
	quotas, ok := storage.As[storage.Quotas](a)
	require.True(t, ok)
	_, used, err := quotas.Quota(t.Context())
	require.NoError(t, err)
	require.NoError(t, quotas.SetQuota(t.Context(), &storage.Quota{Messages: 5, Mailboxes: used.Mailboxes + 1}))
}
