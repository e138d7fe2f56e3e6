package storagetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// access is the power ACLs of an account under test.
type access struct {
	storage.ACLs
	storage.Account
	b *bench
}

func (b *bench) access(user string) *access {
	b.Helper()
	a := b.account(user)
	power, ok := storage.As[storage.ACLs](a)
	if !ok {
		b.Skip("no ACLs")
	}
	return &access{power, a, b}
}

func (a *access) list(mailbox string) storage.ACL {
	a.b.Helper()
	list, err := a.ACL(a.b.ctx(), mailbox)
	require.NoError(a.b, err)
	chain := a.chain(mailbox)
	require.Equal(a.b, list, chain[len(chain)-1], "a mailbox's own list ends the chain")
	return list
}

// all compares AllACLs with what each list says.
func (a *access) all() {
	a.b.Helper()
	lister, ok := storage.As[storage.ACLLister](a.Account)
	if !ok {
		return
	}
	want := make(map[string]storage.ACL)
	for _, name := range append(a.b.names(a.Account), "") {
		if list := a.list(name); len(list) > 0 {
			want[name] = list
		}
	}
	got, err := lister.AllACLs(a.b.ctx())
	require.NoError(a.b, err)
	require.Equal(a.b, want, got)
	_, err = lister.AllACLs(cancelled())
	require.Error(a.b, err)
}

func (a *access) set(mailbox string, list storage.ACL) {
	a.b.Helper()
	require.NoError(a.b, a.SetACL(a.b.ctx(), mailbox, list))
}

func (a *access) chain(mailbox string) []storage.ACL {
	a.b.Helper()
	chain, err := a.ACLChain(a.b.ctx(), mailbox)
	require.NoError(a.b, err)
	return chain
}

// reads is a list that lets one identifier read.
func reads(identifier string) storage.ACL { return storage.ACL{storage.Viewer.Entry(identifier)} }

var aclTests = map[string]func(*bench){
	"BeginEmpty": func(b *bench) {
		for _, user := range []string{alice, public} {
			a := b.access(user)
			require.Empty(b, a.list(""))
			for _, name := range b.names(a.Account) {
				require.Empty(b, a.list(name))
			}
		}
	},
	"AreKeptInTheirCleanForm": func(b *bench) {
		a := b.access(alice)
		for _, mailbox := range []string{"", "INBOX", "Drafts"} {
			a.set(mailbox, storage.ACL{
				{Identifier: "zoe", Allow: storage.RightRead}, {Identifier: "group:staff", Deny: storage.RightAdmin}, {Identifier: "nothing"},
				{Identifier: "zoe", Allow: storage.RightLookup, Deny: storage.RightInsert}, {Identifier: storage.Anyone, Allow: storage.AllRights},
			})
			require.Equal(b, storage.ACL{
				{Identifier: storage.Anyone, Allow: storage.AllRights}, {Identifier: "group:staff", Deny: storage.RightAdmin},
				{Identifier: "zoe", Allow: storage.RightLookup | storage.RightRead, Deny: storage.RightInsert},
			}, a.list(mailbox))
			a.set(mailbox, reads("bob"))
			require.Equal(b, reads("bob"), a.list(mailbox), "a list replaces the one before")
		}
		a.set("INBOX", nil)
		require.Empty(b, a.list("INBOX"))
		require.Equal(b, reads("bob"), a.list("Drafts"))
	},
	"AreThoseOfCleanNames": func(b *bench) {
		a := b.access(alice)
		b.box("INBOX/caf\u00e9")
		a.set("inbox/cafe\u0301", reads("bob"))
		require.Equal(b, reads("bob"), a.list("InBox/caf\u00e9"))
	},
	"OfMissingMailboxesThereAreNone": func(b *bench) {
		a := b.access(alice)
		require.NoError(b, a.Subscribe(b.ctx(), "ghost"))
		for _, name := range []string{"missing", "INBOX/missing", "missing/too", "ghost", "/", "a//b", "INBOX/", "*", strings.Repeat("x", 64<<10)} {
			_, err := a.ACL(b.ctx(), name)
			require.ErrorIs(b, err, storage.ErrNoMailbox, "%.40q", name)
			_, err = a.ACLChain(b.ctx(), name)
			require.ErrorIs(b, err, storage.ErrNoMailbox, "%.40q", name)
			require.ErrorIs(b, a.SetACL(b.ctx(), name, reads("bob")), storage.ErrNoMailbox, "%.40q", name)
		}
	},
	"HaveBounds":                        aclBounds,
	"MakeAChain":                        aclChain,
	"AreCopiedToNewMailboxes":           aclCopies,
	"StayWithRenamedMailboxes":          aclRename,
	"GoWithDeletedMailboxesAndAccounts": aclDelete,
	"AreNobodyElsesToChange":            aclAlias,
	"AreToldOfWhenTheyChange":           aclWatch,
	"OfManyMailboxesAreApart":           aclMany,
	"DoNotChangeWhenTheContextHasEnded": aclCancelled,
	"AreNotTouchedByAnythingElse":       aclUntouched,
}

func aclBounds(b *bench) {
	a := b.access(alice)
	a.set("INBOX", reads("bob"))
	a.set("", reads("carol"))
	many := func(n int) (list storage.ACL) {
		for i := range n {
			list = append(list, storage.Viewer.Entry(fmt.Sprint("user", i)))
		}
		return list
	}
	for _, c := range []struct {
		list storage.ACL
		want error
	}{
		{reads(strings.Repeat("x", 64<<10)), storage.ErrLimit},
		{reads(strings.Repeat("x", storage.MaxIdentifier+1)), storage.ErrLimit},
		{many(storage.MaxACEs + 1), storage.ErrLimit},
		{reads(""), storage.ErrBadACL},
		{reads("-bob"), storage.ErrBadACL},
		{reads("group:"), storage.ErrBadACL},
		{reads("bad\xffutf8"), storage.ErrBadACL},
		{storage.ACL{{Identifier: "bob", Allow: storage.AllRights + 1}}, storage.ErrBadACL},
	} {
		for _, mailbox := range []string{"INBOX", ""} {
			require.ErrorIs(b, a.SetACL(b.ctx(), mailbox, c.list), c.want, "%.60v", c.list)
		}
	}
	require.Equal(b, reads("bob"), a.list("INBOX"))
	require.Equal(b, reads("carol"), a.list(""))
	most := many(storage.MaxACEs)
	most, err := most.Clean()
	require.NoError(b, err)
	a.set("INBOX", most)
	require.Equal(b, most, a.list("INBOX"))
	a.set("INBOX", reads(strings.Repeat("x", storage.MaxIdentifier)))
}

func aclChain(b *bench) {
	a := b.access(alice)
	b.box("a/b/c")
	b.box("a/b2")
	lists := map[string]storage.ACL{"": reads("top"), "a": reads("one"), "a/b": nil, "a/b/c": reads("three"), "a/b2": reads("other")}
	for name, list := range lists {
		a.set(name, list)
	}
	require.Equal(b, []storage.ACL{lists[""]}, a.chain(""))
	require.Equal(b, []storage.ACL{lists[""], lists["a"]}, a.chain("a"))
	require.Equal(b, []storage.ACL{lists[""], lists["a"], lists["a/b"], lists["a/b/c"]}, a.chain("a/b/c"))
	require.Equal(b, []storage.ACL{lists[""], lists["a"], lists["a/b2"]}, a.chain("a/b2"))
	require.Len(b, a.chain("INBOX"), 2)
	deep := strings.Repeat("x/", storage.MaxLevels-1) + "x"
	b.box(deep)
	require.Len(b, a.chain(deep), storage.MaxLevels+1)
}

// aclCopies checks what the mode ACLPlain, which the zero Settings have, says
// of new mailboxes.
func aclCopies(b *bench) {
	a := b.access(alice)
	b.box("before")
	a.set("", reads("top"))
	require.Empty(b, a.list("before"), "what is there already stays as it is")
	b.box("new/child")
	require.Equal(b, reads("top"), a.list("new"))
	require.Equal(b, reads("top"), a.list("new/child"))
	a.set("new", reads("own"))
	require.Equal(b, reads("top"), a.list("new/child"), "a change above later on is of no matter")
	b.deliver("x", storage.Target{User: alice, Mailbox: "new/x/y", Create: true})
	require.Equal(b, reads("own"), a.list("new/x"))
	require.Equal(b, reads("own"), a.list("new/x/y"))
	require.NoError(b, a.Rename(b.ctx(), "INBOX", "new/inbox"))
	require.Equal(b, reads("own"), a.list("new/inbox"))
	require.Empty(b, a.list("INBOX"))
	require.NoError(b, a.Rename(b.ctx(), "before", "new/parent/before"))
	require.Equal(b, reads("own"), a.list("new/parent"))
	require.Empty(b, a.list("new/parent/before"))
}

func aclRename(b *bench) {
	a := b.access(alice)
	b.box("p/c/d")
	a.set("p", reads("p"))
	a.set("p/c", reads("c"))
	a.all()
	require.NoError(b, a.Rename(b.ctx(), "p", "q/r"))
	a.all()
	require.Equal(b, []storage.ACL{nil, nil, reads("p"), reads("c"), nil}, a.chain("q/r/c/d"))
	b.box("p")
	require.Empty(b, a.list("p"))
}

func aclDelete(b *bench) {
	a := b.access(alice)
	b.box("again")
	a.set("again", reads("bob"))
	require.NoError(b, a.Delete(b.ctx(), "again"))
	_, err := a.ACL(b.ctx(), "again")
	require.ErrorIs(b, err, storage.ErrNoMailbox)
	b.box("again")
	require.Empty(b, a.list("again"))

	r, ok := storage.As[storage.Remover](b.Store)
	if !ok {
		return
	}
	a.set("", reads("bob"))
	require.NoError(b, r.RemoveAccount(b.ctx(), alice))
	for _, mailbox := range []string{"", "INBOX"} {
		require.ErrorIs(b, a.SetACL(b.ctx(), mailbox, nil), storage.ErrNoMailbox)
		_, err = a.ACLChain(b.ctx(), mailbox)
		require.ErrorIs(b, err, storage.ErrNoMailbox)
	}
	fresh := b.access(alice)
	require.Empty(b, fresh.list(""))
	require.Empty(b, fresh.list("INBOX"))
}

func aclAlias(b *bench) {
	a := b.access(alice)
	for _, mailbox := range []string{"", "INBOX"} {
		mine := reads("bob")
		a.set(mailbox, mine)
		mine[0].Allow = storage.AllRights
		for range 2 {
			got, chain := a.list(mailbox), a.chain(mailbox)
			require.Equal(b, reads("bob"), got)
			got[0].Identifier = "mallory"
			chain[len(chain)-1][0].Deny = storage.AllRights
		}
	}
}

func aclWatch(b *bench) {
	a := b.access(alice)
	b.box("x").add(1)
	before := b.box("x").status()
	w := b.watch(alice)
	for _, mailbox := range []string{"x", ""} {
		a.set(mailbox, reads("bob"))
		w.told(storage.Change{})
		a.set(mailbox, append(reads("bob"), storage.ACE{Identifier: "nothing"}))
		w.told()
		a.set(mailbox, nil)
		w.told(storage.Change{})
		a.set(mailbox, storage.ACL{})
		w.told()
		require.Error(b, a.SetACL(b.ctx(), mailbox, reads("")))
		w.told()
	}
	require.Equal(b, before, b.box("x").status(), "it is no change of the mailbox")
}

func aclMany(b *bench) {
	users := []string{alice, "bob@example.test", public}
	for _, user := range users {
		a := b.access(user)
		for i := range 20 {
			name := fmt.Sprint("box", i)
			b.create(a.Account, name, storage.Mail)
			a.set(name, reads(user[1:]+name))
		}
		a.set("", reads(user[1:]))
	}
	for _, user := range users {
		a := b.access(user)
		a.all()
		for i := range 20 {
			name := fmt.Sprint("box", i)
			require.Equal(b, []storage.ACL{reads(user[1:]), reads(user[1:] + name)}, a.chain(name))
		}
	}
}

func aclCancelled(b *bench) {
	a := b.access(alice)
	require.Error(b, a.SetACL(cancelled(), "INBOX", reads("bob")))
	require.Error(b, a.SetACL(cancelled(), "", reads("bob")))
	_, err := a.ACL(cancelled(), "INBOX")
	require.Error(b, err)
	_, err = a.ACLChain(cancelled(), "")
	require.Error(b, err)
	require.Equal(b, []storage.ACL{nil, nil}, a.chain("INBOX"))
}

func aclUntouched(b *bench) {
	a := b.access(alice)
	m := b.box("x")
	a.set("x", reads("bob"))
	a.set("", reads("top"))
	m.add(3)
	b.deliver("x", storage.Target{User: alice, Mailbox: "x"})
	m.expunge(1)
	require.NoError(b, a.Subscribe(b.ctx(), "x"))
	b.box("other")
	require.NoError(b, a.Delete(b.ctx(), "other"))
	require.Equal(b, []storage.ACL{reads("top"), reads("bob")}, a.chain("x"))
	require.Equal(b, storage.Mail, b.info(a.Account, "x").Kind)
}

// RunACLInherit checks that new mailboxes begin with an empty list in stores
// all of whose domains have the mode ACLInherit.
func RunACLInherit(t *testing.T, open Open) {
	for _, user := range []string{alice, public} {
		b := &bench{T: t, Store: open(t)}
		a := b.access(user)
		a.set("", reads("top"))
		b.create(a.Account, "p", storage.Mail)
		a.set("p", reads("p"))
		b.create(a.Account, "p/c/d", 0)
		b.deliver("x", storage.Target{User: user, Mailbox: "p/new", Create: true})
		require.Equal(t, []storage.ACL{reads("top"), reads("p"), nil, nil}, a.chain("p/c/d"))
		require.Equal(t, []storage.ACL{reads("top"), reads("p"), nil}, a.chain("p/new"))
	}
}
