package apppassword

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/directory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a directory that knows alice, bob, and carol who is disabled.
type house struct{}

func (house) Account(_ context.Context, login string) (directory.Account, error) {
	name, _, _ := strings.Cut(auth.NormalName(login), "@")
	if name == "alice" || name == "bob" || name == "carol" {
		return directory.Account{Name: name + "@example.test", Disabled: name == "carol"}, nil
	}
	return directory.Account{}, directory.ErrUnknown
}

// down is a directory and a store that can't be asked.
type down struct{}

func (down) Account(context.Context, string) (directory.Account, error) {
	return directory.Account{}, errors.New("connection refused")
}

func (down) List(context.Context, string) ([]AppPassword, error) {
	return nil, errors.New("connection refused")
}

func openFile(t testing.TB) *File {
	f, err := OpenFile(filepath.Join(t.TempDir(), "app-passwords.jsonl"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

// add gives a user an app password.
func add(t testing.TB, f *File, user string, change func(p *AppPassword), services ...string) (id, cleartext string) {
	p, cleartext, err := New("phone", services...)
	require.NoError(t, err)
	if change != nil {
		change(&p)
	}
	require.NoError(t, f.Add(t.Context(), user, p))
	return p.ID, cleartext
}

func TestAppPasswordsKeepThePromisesOfAnAuthenticator(t *testing.T) {
	f := openFile(t)
	_, alices := add(t, f, "alice@example.test", nil, "imap")
	_, carols := add(t, f, "carol@example.test", nil, "imap")
	add(t, f, "bob@example.test", nil, "imap")
	for _, broken := range []*Authenticator{
		NewAuthenticator(f, Options{Accounts: down{}}), NewAuthenticator(down{}, Options{}),
	} {
		authtest.Run(t, authtest.Fixture{
			Auth: NewAuthenticator(f, Options{Accounts: house{}}), User: "Alice", Password: alices, Identity: "alice@example.test", Other: "bob", Unknown: "mallory",
			Disabled: "carol", DisabledPassword: carols, Broken: broken,
		})
	}
	authtest.Run(t, authtest.Fixture{
		Auth: NewAuthenticator(f, Options{}), User: "Alice@Example.Test", Password: alices, Identity: "alice@example.test", Other: "bob@example.test", Unknown: "mallory",
	})
}

func TestA15AnAppPasswordForIMAPIsNotForAnythingElse(t *testing.T) {
	f := openFile(t)
	a := NewAuthenticator(f, Options{})
	_, imap := add(t, f, "alice", nil, "imap")
	_, send := add(t, f, "alice", nil, "submission", "dav")
	for service, want := range map[string][2]bool{
		"imap": {true, false}, "IMAP": {true, false}, "smtp": {false, true}, "submission": {false, true}, "pop3": {}, "dav": {false, true}, "admin": {}, "web": {}, "": {}, "*": {}, "imap2": {},
	} {
		for i, password := range []string{imap, send} {
			id, err := a.Authenticate(t.Context(), auth.Credentials{Service: service, User: "alice", Password: password})
			if want[i] {
				require.NoError(t, err, service)
				require.Equal(t, "alice", id.User)
			} else {
				require.ErrorIs(t, err, auth.ErrBadCredentials, service)
				require.Equal(t, auth.Identity{}, id)
			}
		}
	}
}

func TestA15AnExpiredAppPasswordIsAWrongOne(t *testing.T) {
	f := openFile(t)
	a := NewAuthenticator(f, Options{})
	for in, want := range map[time.Duration]bool{-time.Hour: false, 0: false, time.Hour: true} {
		_, password := add(t, f, "alice", func(p *AppPassword) { p.Expires = time.Now().Add(in) }, "imap")
		_, err := a.Authenticate(t.Context(), auth.Credentials{Service: "imap", User: "alice", Password: password})
		require.Equal(t, want, err == nil)
		require.True(t, want || errors.Is(err, auth.ErrBadCredentials))
	}
}

func TestAnAppPasswordIsForItsNetworks(t *testing.T) {
	f := openFile(t)
	a := NewAuthenticator(f, Options{})
	networks := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	_, password := add(t, f, "alice", func(p *AppPassword) { p.Networks = networks }, "imap")
	for from, want := range map[string]bool{
		"192.0.2.7": true, "::ffff:192.0.2.7": true, "2001:db8::1%eth0": true, "192.0.3.7": false, "::1": false, "": false,
	} {
		remote, _ := netip.ParseAddr(from)
		_, err := a.Authenticate(t.Context(), auth.Credentials{Service: "imap", User: "alice", Password: password, Remote: remote})
		require.Equal(t, want, err == nil, from)
		require.True(t, want || errors.Is(err, auth.ErrBadCredentials))
	}
}

func TestAnAppPasswordIsOneUsersAlone(t *testing.T) {
	f := openFile(t)
	a := NewAuthenticator(f, Options{})
	_, password := add(t, f, "alice", nil, "imap")
	add(t, f, "bob", nil, "imap")
	for _, user := range []string{"bob", "mallory", ""} {
		_, err := a.Authenticate(t.Context(), auth.Credentials{Service: "imap", User: user, Password: password})
		require.ErrorIs(t, err, auth.ErrBadCredentials)
	}
	_, err := a.Authenticate(t.Context(), auth.Credentials{Service: "imap", User: "alice", Password: password, Proof: auth.Token("x")})
	require.ErrorIs(t, err, auth.ErrBadCredentials)
}

func TestAppPasswordsAreLongRandomAndReadable(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		p, cleartext, err := New("phone", "imap")
		require.NoError(t, err)
		require.Regexp(t, `^[a-z]{4}(-[a-z]{4}){8}$`, cleartext)
		require.False(t, seen[cleartext] || seen[p.ID])
		seen[cleartext], seen[p.ID] = true, true
		id, letters, ok := split(cleartext)
		require.True(t, ok)
		require.Equal(t, p.ID, id)
		_, _, ok = split(letters)
		require.True(t, ok, "without hyphens")
		for _, other := range []string{strings.ToUpper(cleartext), cleartext[:44-1], strings.Replace(cleartext, "-", "", 1), "-" + letters, strings.ReplaceAll(cleartext, "-", "--"), ""} {
			_, _, ok = split(other)
			require.False(t, ok, other)
		}
	}
}

func TestWhatIsNoAppPasswordIsNotKept(t *testing.T) {
	f := openFile(t)
	for what, services := range map[string][]string{"no service": nil, "an empty one": {""}, "too many": strings.Split(strings.Repeat("a ", 20)+"a", " ")} {
		_, _, err := New("phone", services...)
		require.ErrorIs(t, err, ErrInvalid, what)
	}
	for _, name := range []string{"", "a\nb", "\xff", strings.Repeat("x", 201)} {
		_, _, err := New(name, "imap")
		require.ErrorIs(t, err, ErrInvalid)
	}
	p, _, err := New("phone", "imap")
	require.NoError(t, err)
	p.Networks = []netip.Prefix{{}}
	require.ErrorIs(t, f.Add(t.Context(), "alice", p), ErrInvalid)
	require.ErrorIs(t, f.Add(t.Context(), "alice", AppPassword{ID: "chosen", Name: "x", Services: []string{"imap"}, Hash: "x"}), ErrInvalid)
}

func TestLastUseIsToldWithoutWaitingForTheDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app-passwords.jsonl")
	f, err := OpenFile(path)
	require.NoError(t, err)
	id, password := add(t, f, "alice", nil, "imap")
	a := NewAuthenticator(f, Options{Used: f.Used})
	began := time.Now().Truncate(time.Second)
	used := func(f *File) time.Time {
		all, err := f.List(t.Context(), "alice")
		require.NoError(t, err)
		require.Equal(t, id, all[0].ID)
		return all[0].LastUsed
	}
	for _, service := range []string{"smtp", "imap"} {
		require.True(t, used(f).IsZero())
		_, err = a.Authenticate(t.Context(), auth.Credentials{Service: service, User: "alice", Password: password})
		require.Equal(t, service == "imap", err == nil)
	}
	require.False(t, used(f).Before(began))
	f.Used("alice", "goneaway", began) // removed meanwhile
	f.Used("mallory", id, began)
	require.NoError(t, f.Close())
	require.NoError(t, f.Close())
	_, err = f.List(t.Context(), "alice")
	require.Error(t, err)
	f, err = OpenFile(path)
	require.NoError(t, err)
	defer f.Close()
	require.False(t, used(f).Before(began))
	all, err := f.List(t.Context(), "mallory")
	require.NoError(t, err)
	require.Empty(t, all)
}

func TestAFileOfAppPasswordsIsEditedAndBounded(t *testing.T) {
	f := openFile(t)
	ctx := t.Context()
	var ids []string
	for range MaxPerUser {
		id, _ := add(t, f, "alice", nil, "imap")
		ids = append(ids, id)
	}
	p, _, err := New("one more", "imap")
	require.NoError(t, err)
	require.ErrorIs(t, f.Add(ctx, "alice", p), ErrFull)
	require.NoError(t, f.Add(ctx, "bob", p))
	require.ErrorIs(t, f.Add(ctx, "bob", p), ErrInvalid, "it is there already")
	require.NoError(t, f.Remove(ctx, "alice", ids[0]))
	require.ErrorIs(t, f.Remove(ctx, "alice", ids[0]), ErrUnknown)
	require.ErrorIs(t, f.Remove(ctx, "mallory", ids[1]), ErrUnknown)
	all, err := f.List(ctx, "alice")
	require.NoError(t, err)
	require.Len(t, all, MaxPerUser-1)
	require.NoError(t, f.SetOnly(ctx, "alice", directory.On))
	only, err := f.Only(ctx, "alice")
	require.NoError(t, err)
	require.True(t, only)
	require.NoError(t, f.RemoveUser(ctx, "alice"))
	require.NoError(t, f.RemoveUser(ctx, "alice"))
	only, err = f.Only(ctx, "alice")
	require.NoError(t, err)
	require.False(t, only)
}

func TestTheMainPasswordIsRefusedWhereNobodyAsksForASecondFactor(t *testing.T) {
	f := openFile(t)
	require.NoError(t, f.SetOnly(t.Context(), "alice", directory.On))
	main := auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (auth.Identity, error) {
		if _, token := c.Proof.(auth.Token); token || c.Proof != nil || c.Password == "main" {
			return auth.Identity{User: c.User}, nil
		}
		return auth.Identity{}, auth.ErrBadCredentials
	})
	g := NewGuard(main, f.Only, "web")
	for _, c := range []struct {
		auth.Credentials
		want error
	}{
		{auth.Credentials{User: "alice", Service: "imap", Password: "main"}, auth.ErrBadCredentials},
		{auth.Credentials{User: "alice", Service: "", Password: "main"}, auth.ErrBadCredentials},
		{auth.Credentials{User: "alice", Service: "imap", Proof: &auth.Response{}}, auth.ErrBadCredentials},
		{auth.Credentials{User: "alice", Service: "web", Password: "main"}, nil},
		{auth.Credentials{User: "alice", Service: "imap", Proof: auth.Token("x")}, nil},
		{auth.Credentials{User: "alice", Service: "imap", Proof: &auth.Certificate{}}, nil},
		{auth.Credentials{User: "alice", Service: "imap", Proof: auth.Ticket{}}, nil},
		{auth.Credentials{User: "alice", Service: "web", Password: "wrong"}, auth.ErrBadCredentials},
		{auth.Credentials{User: "bob", Service: "imap", Password: "main"}, nil},
	} {
		id, err := g.Authenticate(t.Context(), c.Credentials)
		require.ErrorIs(t, err, c.want, "%v", c)
		require.Equal(t, c.want == nil, id.User == c.User)
	}
	broken := NewGuard(main, func(context.Context, string) (bool, error) { return false, errors.New("connection refused") })
	_, err := broken.Authenticate(t.Context(), auth.Credentials{User: "bob", Service: "imap", Password: "main"})
	require.ErrorIs(t, err, auth.ErrUnavailable)
}

func TestAGuardKeepsThePromisesOfAnAuthenticator(t *testing.T) {
	f := openFile(t)
	_, password := add(t, f, "alice@example.test", nil, "imap")
	g := NewGuard(NewAuthenticator(f, Options{Accounts: house{}}), f.Only)
	authtest.Run(t, authtest.Fixture{
		Auth: g, User: "alice", Password: password, Identity: "alice@example.test", Other: "bob", Unknown: "mallory",
		Broken: NewGuard(NewAuthenticator(down{}, Options{}), f.Only),
	})
	namer, ok := auth.As[auth.Namer](g)
	require.True(t, ok)
	name, err := namer.AccountName(t.Context(), "ALICE")
	require.NoError(t, err)
	require.Equal(t, "alice@example.test", name)
}

func TestHashesAndCleartextsAreInNoLog(t *testing.T) {
	f := openFile(t)
	id, cleartext := add(t, f, "alice", nil, "imap")
	all, err := f.List(t.Context(), "alice")
	require.NoError(t, err)
	var out strings.Builder
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "p", all[0])
	fmt.Fprintf(&out, "%v %+v %#v %v", all[0], all[0], all[0], all)
	require.NotContains(t, out.String(), all[0].Hash)
	require.Contains(t, out.String(), id)
	kept, err := json.Marshal(all)
	require.NoError(t, err)
	require.NotContains(t, string(kept), cleartext)
	require.NotContains(t, string(kept), strings.ReplaceAll(cleartext, "-", ""))
}
