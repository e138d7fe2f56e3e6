package storagetest

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/storage"
)

// annotated is the power Annotations of an account under test.
type annotated struct {
	storage.Annotations
	storage.Account
	b *bench
}

func (b *bench) annotated(user string) *annotated {
	b.Helper()
	a := b.account(user)
	power, ok := storage.As[storage.Annotations](a)
	if !ok {
		b.Skip("no Annotations")
	}
	return &annotated{power, a, b}
}

// of returns the shared annotations of a mailbox and those of one user.
func (a *annotated) of(mailbox, user string) []storage.Annotation {
	a.b.Helper()
	list, err := a.Annotations.Annotations(a.b.ctx(), mailbox, user)
	require.NoError(a.b, err)
	return list
}

func (a *annotated) set(mailbox string, set ...storage.Annotation) {
	a.b.Helper()
	require.NoError(a.b, a.Annotate(a.b.ctx(), mailbox, set...))
}

func shared(name, value string) storage.Annotation { return private("", name, value) }

func private(user, name, value string) storage.Annotation {
	return storage.Annotation{Name: name, User: user, Value: []byte(value)}
}

// remove is what takes an annotation away.
func remove(a storage.Annotation) storage.Annotation {
	a.Value = nil
	return a
}

var annotationTests = map[string]func(*bench){
	"BeginEmpty": func(b *bench) {
		for _, user := range []string{alice, public} {
			a := b.annotated(user)
			for _, name := range append(b.names(a.Account), "") {
				require.Empty(b, a.of(name, bob))
			}
		}
	},
	"AreKept":                           annotationsKept,
	"AreSharedOrOfOneUser":              annotationsOfUsers,
	"HoldAnyOctets":                     annotationOctets,
	"OfMissingMailboxesThereAreNone":    annotationsMissing,
	"AreRefusedWithBadNames":            annotationNames,
	"HaveBounds":                        annotationBounds,
	"AreSetAllOrNone":                   annotationsWhole,
	"StayWithRenamedMailboxes":          annotationsRename,
	"GoWithDeletedMailboxesAndAccounts": annotationsDelete,
	"AreNobodyElsesToChange":            annotationAlias,
	"AreToldOfWhenTheyChange":           annotationWatch,
	"OfManyMailboxesAreApart":           annotationsMany,
	"DoNotChangeWhenTheContextHasEnded": func(b *bench) {
		a := b.annotated(alice)
		for _, mailbox := range []string{"", "INBOX"} {
			require.Error(b, a.Annotate(cancelled(), mailbox, shared("/a", "x")))
			_, err := a.Annotations.Annotations(cancelled(), mailbox, "")
			require.Error(b, err)
			require.Empty(b, a.of(mailbox, alice))
		}
	},
}

func annotationsKept(b *bench) {
	a := b.annotated(alice)
	b.box("caf\u00e9")
	for _, mailbox := range []string{"", "INBOX", "caf\u00e9"} {
		a.set(mailbox, shared("/b", "2"), shared("/A/x", "1"), shared("/a", "0"))
		require.Equal(b, []storage.Annotation{shared("/a", "0"), shared("/a/x", "1"), shared("/b", "2")}, a.of(mailbox, ""), "sorted, in lower case")
		a.set(mailbox, shared("/B", "two"), remove(shared("/a", "")), remove(shared("/never", "")))
		require.Equal(b, []storage.Annotation{shared("/a/x", "1"), shared("/b", "two")}, a.of(mailbox, ""))
		a.set(mailbox)
		a.set(mailbox, shared("/b", "x"), remove(shared("/b", "")), shared("/c", "x"), shared("/C", "y"))
		require.Equal(b, []storage.Annotation{shared("/a/x", "1"), shared("/c", "y")}, a.of(mailbox, ""), "the last of one name counts")
	}
	require.Len(b, a.of("cafe\u0301", ""), 2, "normal forms of a name are one name")
	require.Len(b, a.of("InBox", ""), 2)
}

func annotationsOfUsers(b *bench) {
	a := b.annotated(alice)
	users := []string{alice, bob, "Bob@example.test", "b", "\x00", strings.Repeat("u", storage.MaxName), "/"}
	for _, mailbox := range []string{"", "INBOX"} {
		a.set(mailbox, shared("/a", "shared"), shared("/z", "shared"))
		for _, user := range users {
			a.set(mailbox, private(user, "/b", user), private(user, "/a", user))
		}
		for _, user := range users {
			want := []storage.Annotation{shared("/a", "shared"), shared("/z", "shared"), private(user, "/a", user), private(user, "/b", user)}
			require.Equal(b, want, a.of(mailbox, user))
		}
		require.Len(b, a.of(mailbox, ""), 2)
		require.Len(b, a.of(mailbox, "carol"), 2)
		a.set(mailbox, remove(private(bob, "/a", "")))
		require.Len(b, a.of(mailbox, bob), 3)
		require.Len(b, a.of(mailbox, alice), 4)
	}
}

func annotationOctets(b *bench) {
	a := b.annotated(alice)
	most := strings.Repeat("\x00\xff\r\n", storage.MaxAnnotationValue/4)
	a.set("INBOX", shared("/empty", ""), shared("/nul", "\x00"), shared("/most", most))
	require.Equal(b, []storage.Annotation{shared("/empty", ""), shared("/most", most), shared("/nul", "\x00")}, a.of("INBOX", ""))
}

func annotationsMissing(b *bench) {
	a := b.annotated(alice)
	require.NoError(b, a.Subscribe(b.ctx(), "ghost"))
	for _, name := range []string{"missing", "INBOX/missing", "ghost", "/", "a//b", "INBOX/", "*", strings.Repeat("x", 64<<10)} {
		_, err := a.Annotations.Annotations(b.ctx(), name, "")
		require.ErrorIs(b, err, storage.ErrNoMailbox, "%.40q", name)
		require.ErrorIs(b, a.Annotate(b.ctx(), name, shared("/a", "x")), storage.ErrNoMailbox, "%.40q", name)
	}
}

func annotationNames(b *bench) {
	a := b.annotated(alice)
	for _, name := range []string{"", "/", "a", "/a/", "/a//b", "/a*", "/a%b", "/a\n", "/\x7f", "/é"} {
		require.ErrorIs(b, a.Annotate(b.ctx(), "INBOX", shared("/good", "x"), shared(name, "x")), storage.ErrBadName, "%q", name)
		require.ErrorIs(b, a.Annotate(b.ctx(), "", remove(shared(name, ""))), storage.ErrBadName, "%q", name)
	}
	require.ErrorIs(b, a.Annotate(b.ctx(), "", private(strings.Repeat("u", storage.MaxName+1), "/a", "x")), storage.ErrBadName)
	require.Empty(b, a.of("INBOX", ""))
}

func annotationBounds(b *bench) {
	a := b.annotated(alice)
	for _, mailbox := range []string{"", "INBOX"} {
		require.ErrorIs(b, a.Annotate(b.ctx(), mailbox, shared("/a", strings.Repeat("x", storage.MaxAnnotationValue+1))), storage.ErrLimit)
		require.ErrorIs(b, a.Annotate(b.ctx(), mailbox, shared("/"+strings.Repeat("x", storage.MaxAnnotationName), "x")), storage.ErrLimit)
		require.Empty(b, a.of(mailbox, ""))
		var many []storage.Annotation
		for i := range storage.MaxAnnotations {
			many = append(many, private([]string{"", bob}[i%2], fmt.Sprint("/", i), "x"))
		}
		a.set(mailbox, many...)
		require.ErrorIs(b, a.Annotate(b.ctx(), mailbox, private("carol", "/more", "x")), storage.ErrLimit, "those of all users count")
		a.set(mailbox, private("carol", "/more", "x"), remove(many[0]))
		require.Len(b, a.of(mailbox, bob), storage.MaxAnnotations-1)
		for i := range many {
			many[i] = remove(many[i])
		}
		a.set(mailbox, append(many, remove(private("carol", "/more", "")))...)

		value := strings.Repeat("x", storage.MaxAnnotationValue-2)
		for i := range storage.MaxAnnotationsSize / storage.MaxAnnotationValue {
			a.set(mailbox, shared(fmt.Sprint("/", string(rune('a'+i))), value))
		}
		require.ErrorIs(b, a.Annotate(b.ctx(), mailbox, private(bob, "/z", "")), storage.ErrLimit)
		a.set(mailbox, shared("/a", "x"), private(bob, "/z", ""))
	}
}

func annotationsWhole(b *bench) {
	a := b.annotated(alice)
	a.set("INBOX", shared("/a", "x"))
	before := a.of("INBOX", bob)
	for _, bad := range []storage.Annotation{shared("bad", "x"), shared("/long", strings.Repeat("x", storage.MaxAnnotationValue+1))} {
		require.Error(b, a.Annotate(b.ctx(), "INBOX", remove(shared("/a", "")), private(bob, "/b", "y"), bad))
		require.Equal(b, before, a.of("INBOX", bob))
	}
	var many []storage.Annotation
	for i := range storage.MaxAnnotations + 1 {
		many = append(many, shared(fmt.Sprint("/", i), "x"))
	}
	require.ErrorIs(b, a.Annotate(b.ctx(), "INBOX", many...), storage.ErrLimit)
	require.Equal(b, before, a.of("INBOX", bob))
}

func annotationsRename(b *bench) {
	a := b.annotated(alice)
	b.box("p/c")
	for _, name := range []string{"p", "p/c", "INBOX"} {
		a.set(name, shared("/of", name), private(bob, "/of", name))
	}
	require.NoError(b, a.Rename(b.ctx(), "p", "q/r"))
	require.Empty(b, a.of("q", bob))
	for now, was := range map[string]string{"q/r": "p", "q/r/c": "p/c"} {
		require.Equal(b, []storage.Annotation{shared("/of", was), private(bob, "/of", was)}, a.of(now, bob))
	}
	b.box("p")
	require.Empty(b, a.of("p", bob))
	require.NoError(b, a.Rename(b.ctx(), "INBOX", "Old"))
	require.Empty(b, a.of("Old", bob))
	require.Len(b, a.of("INBOX", bob), 2)
}

func annotationsDelete(b *bench) {
	a := b.annotated(alice)
	b.box("again")
	a.set("again", shared("/a", "x"), private(bob, "/a", "x"))
	require.NoError(b, a.Delete(b.ctx(), "again"))
	_, err := a.Annotations.Annotations(b.ctx(), "again", "")
	require.ErrorIs(b, err, storage.ErrNoMailbox)
	b.box("again")
	require.Empty(b, a.of("again", bob))
	r, ok := storage.As[storage.Remover](b.Store)
	if !ok {
		return
	}
	a.set("", shared("/a", "x"))
	a.set("INBOX", private(bob, "/a", "x"))
	require.NoError(b, r.RemoveAccount(b.ctx(), alice))
	for _, mailbox := range []string{"", "INBOX"} {
		require.ErrorIs(b, a.Annotate(b.ctx(), mailbox, shared("/a", "y")), storage.ErrNoMailbox)
		_, err = a.Annotations.Annotations(b.ctx(), mailbox, "")
		require.ErrorIs(b, err, storage.ErrNoMailbox)
		require.Empty(b, b.annotated(alice).of(mailbox, bob))
	}
}

func annotationAlias(b *bench) {
	a := b.annotated(alice)
	for _, mailbox := range []string{"", "INBOX"} {
		mine := shared("/a", "mine")
		a.set(mailbox, mine)
		mine.Value[0] = 'X'
		for range 2 {
			got := a.of(mailbox, "")
			require.Equal(b, []storage.Annotation{shared("/a", "mine")}, got)
			got[0].Value[0] = 'Y'
		}
	}
}

func annotationWatch(b *bench) {
	a := b.annotated(alice)
	before := b.box("x").status()
	w := b.watch(alice)
	for _, mailbox := range []string{"x", ""} {
		a.set(mailbox, shared("/a", ""), shared("/b", "x"))
		w.told(storage.Change{})
		a.set(mailbox, shared("/A", ""))
		w.told()
		a.set(mailbox, remove(shared("/never", "")), remove(private(bob, "/a", "")))
		w.told()
		a.set(mailbox, remove(shared("/a", "")))
		w.told(storage.Change{})
		require.Error(b, a.Annotate(b.ctx(), mailbox, shared("bad", "")))
		w.told()
		a.set(mailbox)
		w.told()
	}
	require.Equal(b, before, b.box("x").status(), "it is no change of the mailbox")
}

func annotationsMany(b *bench) {
	users := []string{alice, bob, public}
	for _, user := range users {
		a := b.annotated(user)
		for i := range 20 {
			name := fmt.Sprint("box", i)
			b.create(a.Account, name, storage.Mail)
			a.set(name, shared("/of", user+name))
		}
		a.set("", shared("/of", user))
	}
	for _, user := range users {
		a := b.annotated(user)
		for i := range 20 {
			name := fmt.Sprint("box", i)
			require.Equal(b, []storage.Annotation{shared("/of", user+name)}, a.of(name, ""))
		}
		require.Equal(b, []storage.Annotation{shared("/of", user)}, a.of("", ""))
	}
}
