package imap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
	"github.com/posthouse-mail/posthouse/storage/memory"
)

// counted is a store that notes what it is asked.
type counted struct {
	storage.Store
	mu    sync.Mutex
	asked []string
}

func (c *counted) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, what)
}

// take returns what was asked since the last time.
func (c *counted) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.asked
	c.asked = nil
	return asked
}

func (c *counted) Unwrap() storage.Store { return c.Store }

func (c *counted) Account(ctx context.Context, user string) (storage.Account, error) {
	c.note("Account")
	a, err := c.Store.Account(ctx, user)
	return &countedAccount{a, c}, err
}

func (c *counted) Find(ctx context.Context, user string) (storage.Account, error) {
	c.note("Find")
	f, _ := storage.As[storage.Finder](c.Store)
	a, err := f.Find(ctx, user)
	return &countedAccount{a, c}, err
}

func (c *counted) SharedWith(ctx context.Context, identifiers ...string) ([]string, error) {
	c.note("SharedWith")
	s, _ := storage.As[storage.Sharer](c.Store)
	return s.SharedWith(ctx, identifiers...)
}

type countedAccount struct {
	storage.Account
	store *counted
}

func (a *countedAccount) Unwrap() storage.Account { return a.Account }

func (a *countedAccount) Mailboxes(ctx context.Context) ([]storage.MailboxInfo, error) {
	a.store.note("Mailboxes")
	return a.Account.Mailboxes(ctx)
}

func (a *countedAccount) Mailbox(ctx context.Context, name string) (storage.Mailbox, error) {
	a.store.note("Mailbox")
	return a.Account.Mailbox(ctx, name)
}

func (a *countedAccount) ACL(ctx context.Context, name string) (storage.ACL, error) {
	a.store.note("ACL")
	acls, _ := storage.As[storage.ACLs](a.Account)
	return acls.ACL(ctx, name)
}

func (a *countedAccount) ACLChain(ctx context.Context, name string) ([]storage.ACL, error) {
	a.store.note("ACLChain")
	acls, _ := storage.As[storage.ACLs](a.Account)
	return acls.ACLChain(ctx, name)
}

func (a *countedAccount) AllACLs(ctx context.Context) (map[string]storage.ACL, error) {
	a.store.note("AllACLs")
	acls, _ := storage.As[storage.ACLLister](a.Account)
	return acls.AllACLs(ctx)
}

func (a *countedAccount) SetACL(ctx context.Context, name string, list storage.ACL) error {
	a.store.note("SetACL")
	acls, _ := storage.As[storage.ACLs](a.Account)
	return acls.SetACL(ctx, name, list)
}

// everyName is a command of each kind that names a mailbox.
var everyName = []string{
	"SELECT %s", "EXAMINE %s", "STATUS %s (MESSAGES SIZE)", "DELETE %s", "RENAME %s Mine", "RENAME INBOX %s", "RENAME Sent %s", "CREATE %s", "SUBSCRIBE %s",
	"UNSUBSCRIBE %s", "SETACL %s alice lr", "DELETEACL %s alice", "GETACL %s", "LISTRIGHTS %s alice", "MYRIGHTS %s",
	"APPEND %s {1+}\r\nx", "APPEND %s (\\Seen) {1+}\r\nx {1+}\r\ny", "LIST \"\" %s", "LIST \"\" %s RETURN (MYRIGHTS STATUS (MESSAGES))", "LSUB \"\" %s",
	"LIST \"\" %s RETURN (METADATA (/private /shared))", "ESEARCH IN (mailboxes %s) ALL", "ESEARCH IN (subtree %s) ALL", "ESEARCH IN (subtree-one %s) RETURN (COUNT) ALL",
	"GETQUOTA %s", "GETQUOTAROOT %s", "SETQUOTA %s (STORAGE 1)", "SETQUOTA %s (NONSENSE 1)", "GETMETADATA %s /shared/comment", "SETMETADATA %s (/shared/comment x)",
	"NOTIFY SET STATUS (mailboxes %s (MessageNew MessageExpunge))", "NOTIFY SET STATUS (subtree %s (MailboxName))",
	"APPEND INBOX CATENATE (URL \"/%u/;UID=1\")", "APPEND INBOX CATENATE (URL \"/%u/;UID=1/;SECTION=TEXT\")", "APPEND %s CATENATE (URL \"/INBOX/;UID=1\")",
	"REPLACE 1 %s {1+}\r\nx", "UID REPLACE * %s {1+}\r\nx",
	"LIST (SUBSCRIBED) \"\" %s", "COPY 1 %s", "UID COPY 1 %s", "MOVE 1 %s", "UID MOVE 1 %s",
}

// TestI25AForbiddenMailboxIsAsAMissingOne compares, for every command, what is
// answered and what the store is asked.
func TestI25AForbiddenMailboxIsAsAMissingOne(t *testing.T) {
	store := &counted{Store: memory.New()}
	_, addr := newServer(t, func(s *Server) {
		sharing(s)
		s.Store = store
	})
	for _, name := range []string{"Secret", "Secret/Deeper", "Open"} {
		allow(t, store, "bob", name, "carol", "lrswipkxtea")
	}
	allow(t, store, "bob", "Open", "alice", "lr")
	deliverTo(t, store, "bob", "Secret", plainMessage)
	deliver(t, store, plainMessage)
	a := login(t, addr)
	for _, command := range everyName {
		type outcome struct {
			untagged, answer string
			asked            []string
		}
		var first *outcome
		for _, name := range []string{"bob/Secret", "bob/Missed", "nob/Secret", "bob/Secret/Deeper", "bob/Missed/Deeper", "nob/Secret/Deeper"} {
			if (strings.HasPrefix(command, "L") || strings.HasPrefix(command, "NOTIFY")) && strings.HasPrefix(name, "nob") {
				continue // that bob shares something with her she may know
			}
			if strings.HasPrefix(command, "CREATE") && strings.Contains(name, "Deeper") {
				continue // a deeper name has more levels above it
			}
			if strings.HasPrefix(command, "RENAME ") && !strings.HasPrefix(command, "RENAME %s") && strings.Contains(name, "Deeper") {
				continue
			}
			a.ok("NOTIFY NONE")
			a.ok("SELECT INBOX")
			store.take()
			o := new(outcome)
			full := "Other Users/" + name
			text := strings.NewReplacer("%s", `"`+full+`"`, "%u", strings.ReplaceAll(full, " ", "%20")).Replace(command)
			o.untagged, o.answer = a.cmd(text)
			unnamed := strings.NewReplacer(full, "X", strings.ReplaceAll(full, " ", "%20"), "X") // a client is told what it said
			o.untagged, o.answer = unnamed.Replace(o.untagged), unnamed.Replace(o.answer)
			o.asked = store.take()
			if first == nil {
				first = o
				require.NotContains(t, o.untagged+o.answer, "Secret")
				continue
			}
			require.Equal(t, first, o, "%s of %s", command, name)
		}
	}
	f, _ := storage.As[storage.Finder](store.Store)
	_, err := f.Find(t.Context(), "nob")
	require.ErrorIs(t, err, storage.ErrNoMailbox, "no account was made")
}

// TestI25AForbiddenMailboxTakesAsLongAsAMissingOne compares medians, in a store on
// disk. It is tolerant, since the test above is exact.
func TestI25AForbiddenMailboxTakesAsLongAsAMissingOne(t *testing.T) {
	s, addr := newServer(t, func(s *Server) {
		sharing(s)
		s.Store = openStores["local"](t)
	})
	allow(t, s.Store, "bob", "Secret", "carol", "lrswipkxtea")
	deliverTo(t, s.Store, "bob", "Secret", plainMessage)
	a := login(t, addr)
	names := []string{"bob/Secret", "bob/Missed", "nob/Secret"}
	var took [3][]time.Duration
	for range 600 {
		for i, name := range names {
			began := time.Now()
			a.fails(`STATUS "Other Users/`+name+`" (MESSAGES)`, "NO [NONEXISTENT]")
			took[i] = append(took[i], time.Since(began))
		}
	}
	var medians [3]time.Duration
	for i := range took {
		slices.Sort(took[i])
		medians[i] = took[i][len(took[i])/2]
	}
	for _, m := range medians[1:] {
		require.InEpsilon(t, float64(medians[0]), float64(m), 0.3, fmt.Sprint(medians))
	}
}

// FuzzNames lets names lead anywhere but outside: each is in an account that
// the first levels say, and has one form.
func FuzzNames(f *testing.F) {
	for _, name := range []string{
		"INBOX", "a/b", "Other Users", "Other Users/bob", "Other Users/bob/inbox/x", "Other Users/bob/INBOX", "Other Users/alice/INBOX", "Public Folders/x",
		"Public Folders", "Other Users/@example.test/x", "Other Users/../bob/x", "Other Users//x", "Other Users/b*b/x", "Other Users/bo\u0301b/x", "Other Users/bob/Other Users/x",
	} {
		f.Add(name)
	}
	store := memory.New()
	n := &Server{Store: store}
	sharing(n)
	s := &session{server: n, user: "dora@example.test"}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := storage.CleanName(text)
		if err != nil {
			return
		}
		l := s.locate(name)
		rest, public := strings.CutPrefix(l.full, "Public Folders/")
		user, box, other := strings.Cut(strings.TrimPrefix(l.full, "Other Users/"), "/")
		other = other && strings.HasPrefix(l.full, "Other Users/")
		switch {
		case l.owner == "":
			require.Empty(t, l.name)
			return
		case public:
			require.Equal(t, "@example.test", l.owner)
			require.Equal(t, rest, l.name)
		case other:
			require.Equal(t, user, l.owner)
			require.Equal(t, box, l.name)
			require.False(t, user == s.user || storage.IsPublic(user) || strings.Contains(user, "/"))
		default:
			require.Equal(t, location{s.user, name, name}, l)
			require.False(t, strings.HasPrefix(name+"/", "Public Folders/") || strings.HasPrefix(name+"/", "Other Users/"))
		}
		clean, err := storage.CleanName(l.name)
		require.NoError(t, err)
		require.Equal(t, l.name, clean)
		require.Equal(t, l, s.locate(l.full), "one form")
	})
}
