package imap

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// testAccess lets alice be in the group staff, and dora administer the public
// folders of example.test. Names are in lower case.
type testAccess struct{ mode storage.ACLMode }

func (a testAccess) Subject(_ context.Context, user, owner string) (storage.Subject, error) {
	who := storage.Subject{User: user}
	if user == "alice" {
		who.Groups = storage.NewGroups("staff")
	}
	if owner == "@example.test" && user == "dora@example.test" {
		who.Always = storage.AllRights
	}
	if owner == "hidden" {
		return storage.Subject{}, storage.ErrNoMailbox
	}
	return who, nil
}

func (a testAccess) Mode(string) storage.ACLMode   { return a.mode }
func (a testAccess) Identifier(text string) string { return strings.ToLower(text) }

// sharing lets a server serve both namespaces.
func sharing(s *Server) {
	s.Namespaces = Namespaces{Other: "Other Users", Public: "Public Folders"}
	s.Access = testAccess{}
}

// allow sets an entry of the list of a mailbox, which is made, or of an account.
func allow(t testing.TB, s storage.Store, user, mailbox, identifier, rights string) {
	t.Helper()
	a, err := s.Account(t.Context(), user)
	require.NoError(t, err)
	if err := a.Create(t.Context(), mailbox, storage.NewMailbox{}); mailbox != "" && err != nil {
		require.ErrorIs(t, err, storage.ErrMailboxExists)
	}
	acls, ok := storage.As[storage.ACLs](a)
	require.True(t, ok)
	list, err := acls.ACL(t.Context(), mailbox)
	require.NoError(t, err)
	change, err := storage.ParseRightsChange(rights)
	require.NoError(t, err)
	list, err = list.Change(identifier, change)
	require.NoError(t, err)
	require.NoError(t, acls.SetACL(t.Context(), mailbox, list))
}

// makeShared makes what dialogues about sharing are about.
func makeShared(t *testing.T, s storage.Store) {
	for _, c := range [][3]string{
		{"Team", "alice", "lrswite"}, {"Team/Read", "alice", "lr"}, {"Secret", "carol", "lr"}, {"Secret/Open", "alice", "l"},
		{"Drop", "alice", "i"}, {"Look", storage.Anyone, "l"}, {"Group", "group:staff", "lrsk"}, {"Group", "-alice", "w"}, {"Mine", "alice", "lrswipkxtea"},
	} {
		allow(t, s, "bob", c[0], c[1], c[2])
	}
	bob, err := s.Account(t.Context(), "bob")
	require.NoError(t, err)
	require.NoError(t, bob.Create(t.Context(), "Plan", storage.NewMailbox{Kind: storage.Calendar}))
	allow(t, s, "bob", "Plan", "alice", "lrswipkxtea")
	for _, name := range []string{"Team", "Team/Read", "Secret", "Group", "Mine"} {
		deliverTo(t, s, "bob", name, "Subject: "+name+"\r\n\r\nin "+name+"\r\n")
	}
	allow(t, s, "hidden", "Box", storage.Anyone, "lrswipkxtea")
	allow(t, s, "a/b", "Box", storage.Anyone, "lrswipkxtea")
	allow(t, s, "@example.test", "News", storage.Anyone, "lr")
	allow(t, s, "@example.test", "News/Old", storage.Anyone, "l")
	allow(t, s, "@other.test", "News", storage.Anyone, "lr")
	deliverTo(t, s, "@example.test", "News", "Subject: news\r\n\r\nnone\r\n")
	dora, err := s.Account(t.Context(), "dora@example.test")
	require.NoError(t, err)
	require.NoError(t, dora.Create(t.Context(), "Public Folders/Old", storage.NewMailbox{}))
}
