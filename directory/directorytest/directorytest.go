// Package directorytest checks that a directory keeps the promises of package
// directory. It needs the power directory.Editor to fill the directory.
package directorytest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/mail"
)

// Run checks every promise on directories that open makes, each of them empty
// and closed by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) directory.Directory) {
	RunLookups(t, open)
	run(t, open, editTests, organizeTests)
}

// RunLookups checks the promises about lookups alone, for directories that
// can't be changed. What open makes has a directory.Editor all the same, one
// of the test's own, which changes what the directory reads: AddDomain,
// AddAccount, AddAlias, SetDisabled and RemoveAccount are used.
func RunLookups(t *testing.T, open func(t *testing.T) directory.Directory) {
	run(t, open, resolveTests, loginTests)
}

func run(t *testing.T, open func(t *testing.T) directory.Directory, groups ...map[string]func(*testing.T, *bench)) {
	for _, group := range groups {
		for name, f := range group {
			t.Run(name, func(t *testing.T) {
				d := open(t)
				e, ok := directory.As[directory.Editor](d)
				require.True(t, ok, "the directory has no directory.Editor")
				f(t, &bench{t: t, ctx: t.Context(), d: d, e: e})
			})
		}
	}
}

// bench is one directory under test.
type bench struct {
	t   *testing.T
	ctx context.Context
	d   directory.Directory
	e   directory.Editor
}

// fill makes the domains example.test (primary) and other.test with the
// accounts alice, bob and carol@other.test, in this order.
func (b *bench) fill() {
	b.t.Helper()
	for _, domain := range []string{"example.test", "other.test"} {
		require.NoError(b.t, b.e.AddDomain(b.ctx, domain))
	}
	for _, name := range []string{"alice@example.test", "bob@example.test", "carol@other.test"} {
		require.NoError(b.t, b.e.AddAccount(b.ctx, directory.Account{Name: name, Password: "{hash}" + name}))
	}
}

func (b *bench) alias(from, to string) {
	b.t.Helper()
	require.NoError(b.t, b.e.AddAlias(b.ctx, mail.MustParseAddress(from), to))
}

// leads requires that an address leads to accounts, to their mailboxes written
// as "account/mailbox", and to foreign addresses written as ">address".
func (b *bench) leads(address string, want ...string) {
	b.t.Helper()
	found, err := b.d.Resolve(b.ctx, mail.MustParseAddress(address))
	require.NoError(b.t, err, address)
	var got []string
	for _, r := range found {
		if r.Account != "" {
			require.True(b.t, r.Forward.IsNull())
			got = append(got, r.Account)
		} else {
			got = append(got, ">"+r.Forward.String())
		}
		if r.Folder != "" {
			got[len(got)-1] += "/" + r.Folder
		}
	}
	require.ElementsMatch(b.t, want, got, address)
}

func (b *bench) fails(address string, want error) {
	b.t.Helper()
	found, err := b.d.Resolve(b.ctx, mail.MustParseAddress(address))
	require.ErrorIs(b.t, err, want, address)
	require.Empty(b.t, found)
}

var resolveTests = map[string]func(*testing.T, *bench){
	"ResolveAccountInAnySpelling": func(t *testing.T, b *bench) {
		b.fill()
		require.NoError(t, b.e.AddAccount(b.ctx, directory.Account{Name: "ä.b@example.test"}))
		for _, a := range []string{"alice@example.test", "ALICE@Example.TEST", "alice@example.test.", `"alice"@example.test`, `"al\ice"@example.test`} {
			b.leads(a, "alice@example.test")
		}
		b.leads("A\u0308.B@example.test", "ä.b@example.test")
	},
	"ResolveTellsUnknownFromForeign": func(t *testing.T, b *bench) {
		b.fill()
		b.fails("nobody@example.test", directory.ErrUnknown)
		b.fails("alice@other.test", directory.ErrUnknown)
		b.fails("alice@foreign.test", directory.ErrNotLocal)
		b.fails("alice@sub.example.test", directory.ErrNotLocal)
		b.fails("alice@[127.0.0.1]", directory.ErrNotLocal)
	},
	"S18TricksInTheLocalPartAreUnknown": func(t *testing.T, b *bench) {
		b.fill()
		for _, a := range []string{
			"alice%foreign.test@example.test", "foreign.test!alice@example.test",
			`"alice@foreign.test"@example.test`, `"alice@example.test"@example.test`, `"foreign@foreign.test"@other.test`,
		} {
			b.fails(a, directory.ErrUnknown)
		}
		b.fails("alice@еxample.test", directory.ErrNotLocal) // a Cyrillic letter
	},
	"ResolveSubAddress": func(t *testing.T, b *bench) {
		b.fill()
		b.alias("sales@example.test", "bob@example.test")
		b.leads("alice+news@example.test", "alice@example.test")
		b.leads("ALICE+a+b@example.test", "alice@example.test")
		b.leads("alice+@example.test", "alice@example.test")
		b.leads("sales+x@example.test", "bob@example.test")
		b.fails("nobody+news@example.test", directory.ErrUnknown)
		b.fails("+news@example.test", directory.ErrUnknown)
		require.NoError(t, b.e.AddAccount(b.ctx, directory.Account{Name: "alice+own@example.test"}))
		b.leads("alice+own@example.test", "alice+own@example.test")
	},
	"ResolvePostmaster": func(t *testing.T, b *bench) {
		b.fails("postmaster", directory.ErrUnknown)
		b.fill()
		everywhere := []string{"postmaster", "POSTMASTER@example.test", "Postmaster@other.test", "postmaster+x@example.test"}
		for _, a := range everywhere[:3] {
			b.leads(a, "alice@example.test")
		}
		require.NoError(t, b.e.SetDisabled(b.ctx, "alice@example.test", directory.On))
		b.leads("postmaster", "bob@example.test")
		require.NoError(t, b.e.SetDisabled(b.ctx, "alice@example.test", directory.Off))
		b.leads("postmaster", "alice@example.test")
		require.NoError(t, b.e.RemoveAccount(b.ctx, "alice@example.test"))
		b.leads("postmaster", "bob@example.test")
		b.alias("postmaster@example.test", "carol@other.test")
		for _, a := range everywhere {
			b.leads(a, "carol@other.test")
		}
		require.NoError(t, b.e.AddAccount(b.ctx, directory.Account{Name: "postmaster@other.test"}))
		b.leads("postmaster@other.test", "postmaster@other.test")
		b.leads("postmaster", "carol@other.test")
		b.fails("postmaster@foreign.test", directory.ErrNotLocal)
	},
	"ResolveAliases": func(t *testing.T, b *bench) {
		b.fill()
		b.alias("sales@example.test", "bob@example.test")
		b.alias("sales@example.test", "friend@Foreign.test")
		b.alias("sales@example.test", "alice@example.test")
		b.alias("all@other.test", "SALES@example.test")
		b.alias("all@other.test", "carol@other.test")
		b.alias("all@other.test", "bob@example.test")
		b.leads("Sales@example.test", "bob@example.test", ">friend@Foreign.test", "alice@example.test")
		found, err := b.d.Resolve(b.ctx, mail.MustParseAddress("all@other.test"))
		require.NoError(t, err)
		require.ElementsMatch(t, []directory.Recipient{
			{Account: "alice@example.test"}, {Account: "bob@example.test"}, {Account: "carol@other.test"},
			{Forward: mail.MustParseAddress("friend@Foreign.test")},
		}, found, "each once")
	},
	"ResolveLoopEnds": func(t *testing.T, b *bench) {
		b.fill()
		b.alias("a@example.test", "bob@example.test")
		b.alias("b@example.test", "a@example.test")
		b.alias("a@example.test", "b@example.test")
		b.leads("a@example.test", "bob@example.test")
		require.NoError(t, b.e.RemoveAccount(b.ctx, "bob@example.test"))
		b.fails("a@example.test", directory.ErrUnknown)
	},
	"ResolveDisabled": func(t *testing.T, b *bench) {
		b.fill()
		b.alias("both@example.test", "alice@example.test")
		b.alias("both@example.test", "bob@example.test")
		require.NoError(t, b.e.SetDisabled(b.ctx, "ALICE@example.test", directory.On))
		b.fails("alice@example.test", directory.ErrDisabled)
		b.fails("alice+x@example.test", directory.ErrDisabled)
		b.leads("both@example.test", "bob@example.test")
		require.NoError(t, b.e.SetDisabled(b.ctx, "bob@example.test", directory.On))
		b.fails("both@example.test", directory.ErrDisabled)
		require.NoError(t, b.e.SetDisabled(b.ctx, "bob@example.test", directory.Off))
		b.leads("both@example.test", "bob@example.test")
	},
	"LocalDomainsInAnySpelling": func(t *testing.T, b *bench) {
		b.fill()
		require.NoError(t, b.e.AddDomain(b.ctx, "Bücher.test"))
		for domain, want := range map[string]bool{
			"example.test": true, "EXAMPLE.test.": true, "other.test": true, "bücher.test": true, "xn--bcher-kva.test": true,
			"foreign.test": false, "sub.example.test": false, "test": false, "": false,
		} {
			is, err := b.d.Local(b.ctx, domain)
			require.NoError(t, err)
			require.Equal(t, want, is, domain)
		}
	},
}

var loginTests = map[string]func(*testing.T, *bench){
	"A06SpellingsOfALoginAreOneAccount": func(t *testing.T, b *bench) {
		b.fill()
		require.NoError(t, b.e.AddAccount(b.ctx, directory.Account{Name: "zoë@example.test"}))
		for _, login := range []string{"alice", "Alice", "ALICE@example.test", "alice@Example.test.", "alice+tag@example.test", "alice+tag", `"alice"@example.test`} {
			a, err := b.e.Account(b.ctx, login)
			require.NoError(t, err, login)
			require.Equal(t, "alice@example.test", a.Name)
			require.Equal(t, "{hash}alice@example.test", a.Password)
		}
		for _, login := range []string{"zoë", "zoe\u0308", "ZOË@example.test"} {
			a, err := b.e.Account(b.ctx, login)
			require.NoError(t, err, login)
			require.Equal(t, "zoë@example.test", a.Name)
		}
	},
	"A01LoginThatIsNobody": func(t *testing.T, b *bench) {
		_, err := b.e.Account(b.ctx, "alice")
		require.ErrorIs(t, err, directory.ErrUnknown)
		b.fill()
		b.alias("sales@example.test", "alice@example.test")
		for _, login := range []string{
			"", "@", "carol", "alice@", "@example.test", "alice@other.test", "alice@foreign.test", "sales", "+alice", "postmaster",
			"*", "admin)(uid=*", `\28`, "alice\x00", "alice\n", "a,ou=x", strings.Repeat("a", 64<<10), "alice@example.test@example.test",
		} {
			_, err := b.e.Account(b.ctx, login)
			require.ErrorIs(t, err, directory.ErrUnknown, "%.40q", login)
		}
	},
	"DisabledAccountIsReturned": func(t *testing.T, b *bench) {
		b.fill()
		require.NoError(t, b.e.SetDisabled(b.ctx, "alice", directory.On))
		a, err := b.e.Account(b.ctx, "alice")
		require.NoError(t, err)
		require.True(t, a.Disabled)
	},
}

var editTests = map[string]func(*testing.T, *bench){
	"DomainsKeepTheirOrder": func(t *testing.T, b *bench) {
		b.fill()
		require.NoError(t, b.e.AddDomain(b.ctx, "a.test"))
		require.ErrorIs(t, b.e.AddDomain(b.ctx, "EXAMPLE.test."), directory.ErrExists)
		for _, bad := range []string{"", "a b", "-a.test", "a..test", "a\n.test"} {
			require.ErrorIs(t, b.e.AddDomain(b.ctx, bad), mail.ErrBadAddress, "%q", bad)
		}
		domains, err := b.e.Domains(b.ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"example.test", "other.test", "a.test"}, domains)
	},
	"AccountsMayNameTheirHost": func(t *testing.T, b *bench) {
		b.fill()
		h, ok := directory.As[directory.Hoster](b.d)
		if !ok {
			t.Skip("the directory has no directory.Hoster")
		}
		require.NoError(t, b.e.AddAccount(b.ctx, directory.Account{Name: "dave@example.test", Host: "10.0.0.9"}))
		require.NoError(t, h.SetHost(b.ctx, "BOB@example.test", "10.0.0.11:1143"))
		require.ErrorIs(t, h.SetHost(b.ctx, "nobody@example.test", "10.0.0.11"), directory.ErrUnknown)
		for login, want := range map[string]string{"alice": "", "bob": "10.0.0.11:1143", "dave": "10.0.0.9"} {
			a, err := b.e.Account(b.ctx, login)
			require.NoError(t, err)
			require.Equal(t, want, a.Host)
		}
		require.NoError(t, h.SetHost(b.ctx, "bob@example.test", ""))
		a, err := b.e.Account(b.ctx, "bob")
		require.NoError(t, err)
		require.Empty(t, a.Host)
	},
	"AccountsAreListedByName": func(t *testing.T, b *bench) {
		b.fill()
		require.NoError(t, b.e.AddAccount(b.ctx, directory.Account{Name: "Aaron@Example.test", Aliases: []string{"X@example.test", "b@other.test"}}))
		var got []directory.Account
		for a, err := range b.e.List(b.ctx) {
			require.NoError(t, err)
			got = append(got, a)
		}
		require.Len(t, got, 4)
		require.Equal(t, directory.Account{Name: "aaron@example.test", Aliases: []string{"b@other.test", "x@example.test"}}, got[0])
		require.Equal(t, "carol@other.test", got[3].Name)
		b.leads("x@example.test", "aaron@example.test")
		for a := range b.e.List(b.ctx) {
			require.Equal(t, "aaron@example.test", a.Name)
			break
		}
	},
	"AccountsThatAreRefused": func(t *testing.T, b *bench) {
		b.fill()
		b.alias("sales@example.test", "bob@example.test")
		for name, want := range map[string]error{
			"alice@example.test": directory.ErrExists, "ALICE@example.test": directory.ErrExists, "sales@example.test": directory.ErrExists,
			"dora@foreign.test": directory.ErrNotLocal, "dora": mail.ErrBadAddress, "": mail.ErrBadAddress, "@example.test": mail.ErrBadAddress, "postmaster": mail.ErrBadAddress,
			`"a b"@example.test`: mail.ErrBadAddress, "a@b@example.test": mail.ErrBadAddress,
		} {
			require.ErrorIs(t, b.e.AddAccount(b.ctx, directory.Account{Name: name}), want, name)
		}
		for _, aliases := range [][]string{{"sales@example.test"}, {"new@example.test", "alice@example.test"}, {"dora@example.test"}, {"x@example.test", "X@example.test"}} {
			require.ErrorIs(t, b.e.AddAccount(b.ctx, directory.Account{Name: "dora@example.test", Aliases: aliases}), directory.ErrExists)
		}
		require.ErrorIs(t, b.e.AddAccount(b.ctx, directory.Account{Name: "dora@example.test", Aliases: []string{"d@foreign.test"}}), directory.ErrNotLocal)
		b.fails("new@example.test", directory.ErrUnknown)
		b.fails("dora@example.test", directory.ErrUnknown)
	},
	"AliasesThatAreRefused": func(t *testing.T, b *bench) {
		b.fill()
		b.alias("sales@example.test", "bob")
		for _, c := range []struct {
			from, to string
			want     error
		}{
			{"alice@example.test", "bob@example.test", directory.ErrExists},
			{"sales@example.test", "BOB@example.test", directory.ErrExists},
			{"sales@foreign.test", "bob@example.test", directory.ErrNotLocal},
			{"new@example.test", "nobody@example.test", directory.ErrUnknown},
			{"new@example.test", "no address", mail.ErrBadAddress},
			{"new@example.test", "", mail.ErrBadAddress},
			{"postmaster", "bob@example.test", mail.ErrBadAddress},
		} {
			require.ErrorIs(t, b.e.AddAlias(b.ctx, mail.MustParseAddress(c.from), c.to), c.want, "%s to %s", c.from, c.to)
		}
		b.leads("sales@example.test", "bob@example.test")
	},
	"ChangesOfUnknownAccounts": func(t *testing.T, b *bench) {
		b.fill()
		b.alias("sales@example.test", "bob@example.test")
		for _, name := range []string{"nobody@example.test", "alice+x@example.test", "sales@example.test", "alice@foreign.test"} {
			require.ErrorIs(t, b.e.SetPassword(b.ctx, name, "x"), directory.ErrUnknown)
			require.ErrorIs(t, b.e.SetDisabled(b.ctx, name, directory.On), directory.ErrUnknown)
			require.ErrorIs(t, b.e.RemoveAccount(b.ctx, name), directory.ErrUnknown)
		}
		require.ErrorIs(t, b.e.RemoveAlias(b.ctx, mail.MustParseAddress("alice@example.test")), directory.ErrUnknown)
		b.leads("alice@example.test", "alice@example.test")
	},
	"PasswordIsSeenAtOnce": func(t *testing.T, b *bench) {
		b.fill()
		require.NoError(t, b.e.SetPassword(b.ctx, "Alice", "$2b$new\n\"\u2028"))
		a, err := b.e.Account(b.ctx, "alice")
		require.NoError(t, err)
		require.Equal(t, "$2b$new\n\"\u2028", a.Password)
	},
	"SecretsGoWithTheirPassword": func(t *testing.T, b *bench) {
		secrets := func() map[string]string {
			a, err := b.e.Account(b.ctx, "alice")
			require.NoError(t, err)
			return a.Secrets
		}
		b.fill()
		given := map[string]string{"SCRAM-SHA-256": "one", "SCRAM-SHA-1": "two"}
		require.NoError(t, b.e.SetPasswordForms(b.ctx, "Alice", "hash", given))
		given["SCRAM-SHA-1"] = "changed"
		require.Equal(t, map[string]string{"SCRAM-SHA-256": "one", "SCRAM-SHA-1": "two"}, secrets())
		secrets()["SCRAM-SHA-1"] = "changed"
		require.Equal(t, "two", secrets()["SCRAM-SHA-1"], "what is returned is a copy")
		require.NoError(t, b.e.SetPassword(b.ctx, "alice", "another"))
		require.Empty(t, secrets(), "the secret of an old password must not log in")
		require.ErrorIs(t, b.e.SetPasswordForms(b.ctx, "nobody@example.test", "x", nil), directory.ErrUnknown)
	},
	"SchemesAreThoseThatEverybodyHas": func(t *testing.T, b *bench) {
		power, ok := b.e.(directory.SecretSchemes)
		if !ok {
			t.Skip("the power is optional")
		}
		require.NoError(t, b.e.AddDomain(b.ctx, "example.test"))
		require.Empty(t, power.SecretSchemes(), "nobody is there")
		require.NoError(t, b.e.AddAccount(b.ctx, directory.Account{Name: "a@example.test", Password: "h", Secrets: map[string]string{"X": "1", "Y": "1"}}))
		require.NoError(t, b.e.AddAccount(b.ctx, directory.Account{Name: "b@example.test"}))
		require.Equal(t, []string{"X", "Y"}, power.SecretSchemes(), "who has no password needs no secret")
		require.NoError(t, b.e.SetPassword(b.ctx, "b@example.test", "h"))
		require.Empty(t, power.SecretSchemes())
		require.NoError(t, b.e.SetPasswordForms(b.ctx, "b@example.test", "h", map[string]string{"Y": "1"}))
		require.Equal(t, []string{"Y"}, power.SecretSchemes())
		require.NoError(t, b.e.RemoveAccount(b.ctx, "b@example.test"))
		require.Equal(t, []string{"X", "Y"}, power.SecretSchemes())
	},
	"RemovedAccountLeavesNothing": func(t *testing.T, b *bench) {
		b.fill()
		b.alias("sales@example.test", "bob@example.test")
		b.alias("deep@example.test", "sales@example.test")
		b.alias("both@example.test", "bob@example.test")
		b.alias("both@example.test", "alice@example.test")
		require.NoError(t, b.e.RemoveAccount(b.ctx, "bob@example.test"))
		b.fails("bob@example.test", directory.ErrUnknown)
		b.fails("sales@example.test", directory.ErrUnknown)
		b.fails("deep@example.test", directory.ErrUnknown)
		b.leads("both@example.test", "alice@example.test")
		require.NoError(t, b.e.AddAccount(b.ctx, directory.Account{Name: "bob@example.test"}))
		require.NoError(t, b.e.AddAccount(b.ctx, directory.Account{Name: "sales@example.test"}))
		a, err := b.e.Account(b.ctx, "bob")
		require.NoError(t, err)
		require.Equal(t, directory.Account{Name: "bob@example.test"}, a)
	},
	"RemovedAliasIsUnknown": func(t *testing.T, b *bench) {
		b.fill()
		b.alias("sales@example.test", "bob@example.test")
		b.alias("sales@example.test", "alice@example.test")
		require.NoError(t, b.e.RemoveAlias(b.ctx, mail.MustParseAddress("SALES@example.test")))
		b.fails("sales@example.test", directory.ErrUnknown)
		a, err := b.e.Account(b.ctx, "bob")
		require.NoError(t, err)
		require.Empty(t, a.Aliases)
	},
	"ReturnedAccountsAreCopies": func(t *testing.T, b *bench) {
		b.fill()
		b.alias("sales@example.test", "bob@example.test")
		a, err := b.e.Account(b.ctx, "bob")
		require.NoError(t, err)
		a.Aliases[0] = "changed"
		a, err = b.e.Account(b.ctx, "bob")
		require.NoError(t, err)
		require.Equal(t, []string{"sales@example.test"}, a.Aliases)
	},
	"EndedContextChangesNothing": func(t *testing.T, b *bench) {
		b.fill()
		ctx, cancel := context.WithCancel(b.ctx)
		cancel()
		require.ErrorIs(t, b.e.RemoveAccount(ctx, "bob@example.test"), context.Canceled)
		b.leads("bob@example.test", "bob@example.test")
	},
	"LookupsAndChangesTogether": func(t *testing.T, b *bench) {
		b.fill()
		var wait sync.WaitGroup
		for w := range 4 {
			wait.Go(func() {
				for i := range 20 {
					name := fmt.Sprintf("u%d-%d@example.test", w, i)
					if err := b.e.AddAccount(b.ctx, directory.Account{Name: name}); err != nil {
						t.Errorf("AddAccount: %v", err)
					}
					if _, err := b.d.Resolve(b.ctx, mail.MustParseAddress(name)); err != nil {
						t.Errorf("Resolve: %v", err)
					}
					if i%2 == 0 {
						if err := b.e.RemoveAccount(b.ctx, name); err != nil {
							t.Errorf("RemoveAccount: %v", err)
						}
					}
				}
			})
			wait.Go(func() {
				for range 20 {
					for _, err := range b.e.List(b.ctx) {
						if err != nil {
							t.Errorf("List: %v", err)
						}
					}
				}
			})
		}
		wait.Wait()
		n := 0
		for range b.e.List(b.ctx) {
			n++
		}
		require.Equal(t, 3+4*10, n)
	},
}
