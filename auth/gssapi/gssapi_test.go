package gssapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gofork "github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/accountauth"
	"github.com/posthouse-mail/posthouse/auth/authtest"
	"github.com/posthouse-mail/posthouse/auth/gssapi"
	"github.com/posthouse-mail/posthouse/auth/ldapauth"
	"github.com/posthouse-mail/posthouse/directory"
	"github.com/posthouse-mail/posthouse/directory/embedded"
	"github.com/posthouse-mail/posthouse/directory/ldap"
	"github.com/posthouse-mail/posthouse/internal/ldapfake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func marshalKerberos(t testing.TB, part messages.EncTicketPart) []byte {
	der, err := gofork.Marshal(part)
	require.NoError(t, err)
	return der
}

// people returns a directory with alice, bob, and carol who is disabled.
func people(t testing.TB) *embedded.Directory {
	d, err := embedded.Open(filepath.Join(t.TempDir(), "directory.jsonl"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	require.NoError(t, d.AddDomain(t.Context(), "example.test"))
	for _, name := range []string{"alice", "bob", "carol"} {
		require.NoError(t, d.AddAccount(t.Context(), directory.Account{Name: name + "@example.test"}))
	}
	require.NoError(t, d.SetDisabled(t.Context(), "carol@example.test", directory.On))
	return d
}

func owners(t testing.TB) auth.Authenticator {
	return gssapi.Accounts(people(t), map[string]string{"EXAMPLE.TEST": "example.test", "OTHER.TEST": "example.test"})
}

// server returns an Authenticator with a keytab of a centre, that has begun
// long ago.
func server(t testing.TB, c *centre, o gssapi.Options) *gssapi.Authenticator {
	o.KeytabData = c.keytab(t)
	a, err := gssapi.New(owners(t), o)
	require.NoError(t, err)
	a.SetClock(time.Now, time.Now().Add(-time.Hour))
	return a
}

// imapCentre returns the centre of most tests: to make keys is slow.
func imapCentre(testing.TB) *centre { return theCentre() }

// theCentre makes it once.
var theCentre = sync.OnceValue(func() *centre { return newCentre("imap/mail.example.test", "pop/mail.example.test") })

// try logs a client in who chooses what stands in choice.
func try(t testing.TB, a auth.Authenticator, i *initiator, choice string) (auth.Identity, error) {
	return tryAt(t, a, i, choice, 0)
}

func tryAt(t testing.TB, a auth.Authenticator, i *initiator, choice string, rotated int) (auth.Identity, error) {
	e, challenge, err := begin(t, a, i.token(t))
	if err != nil {
		return auth.Identity{}, err
	}
	if i.flags&mutual != 0 {
		i.proved(t, challenge)
		challenge, _, err = e.Next([]byte{})
		require.NoError(t, err)
	}
	require.Equal(t, []byte{1, 0, 0, 0}, i.offered(t, challenge), "no security layer")
	_, done, err := e.Next(i.wrap(t, []byte(choice), rotated))
	require.Equal(t, err == nil, done)
	return e.Identity(), err
}

func begin(t testing.TB, a auth.Authenticator, token []byte) (*auth.Exchange, []byte, error) {
	e, err := auth.NewExchange(t.Context(), "GSSAPI", a, auth.Policy{}, auth.Credentials{Service: "imap", Remote: netip.MustParseAddr("192.0.2.1")})
	require.NoError(t, err)
	challenge, done, err := e.Next(nil)
	require.NoError(t, err)
	require.False(t, done)
	require.Equal(t, []byte{}, challenge)
	challenge, done, err = e.Next(token)
	require.False(t, done)
	return e, challenge, err
}

const none = "\x01\x00\x00\x00"

func TestATicketAndAKeyOfTheKeytabAreALogin(t *testing.T) {
	c := imapCentre(t)
	a := server(t, c, gssapi.Options{Hostname: "MAIL.example.test"})
	for _, kind := range []int32{aes128, aes256, aes128sha2, aes256sha2} {
		for _, flags := range []uint32{0, integ, mutual | integ} {
			for _, number := range []int64{0, 1<<32 - 1, -1} {
				for n, subKey := range []bool{true, false} {
					i := c.client("alice")
					i.kind, i.flags, i.number, i.subKey = kind, flags, number, subKey
					id, err := tryAt(t, a, i, none, n*(13+int(kind)))
					require.NoError(t, err, "%d %d %d %v", kind, flags, number, subKey)
					require.Equal(t, "alice@example.test", id.User)
				}
			}
		}
	}
}

func TestRFC4121RotationByAnyCountIsUndone(t *testing.T) {
	c := imapCentre(t)
	a := server(t, c, gssapi.Options{})
	for _, rotated := range []int{0, 1, 4, 12, 15, 16, 17, 28, 65535} {
		_, err := tryAt(t, a, c.client("alice"), none, rotated)
		require.NoError(t, err, rotated)
	}
}

func TestTicketsThatAreNotGoodAreRefused(t *testing.T) {
	c := imapCentre(t)
	a := server(t, c, gssapi.Options{Hostname: "mail.example.test"})
	stranger := newCentre("imap/mail.example.test")
	require.NoError(t, stranger.table.AddEntry("imap/mail.example.test", "EXAMPLE.TEST", "another key", time.Now().Add(time.Hour), 1, aes256))
	for name, spoil := range map[string]func(*initiator){
		"another key":            func(i *initiator) { i.centre = stranger },
		"another service":        func(i *initiator) { i.service = "pop/mail.example.test" },
		"another host":           func(i *initiator) { i.centre, i.service = newCentre("imap/other"), "imap/other" },
		"expired":                func(i *initiator) { i.end = time.Now().Add(-6 * time.Minute) },
		"not yet valid":          func(i *initiator) { i.begin = time.Now().Add(6 * time.Minute) },
		"marked invalid":         func(i *initiator) { i.ticketFlags = []int{7} },
		"a slow clock":           func(i *initiator) { i.clock = time.Now().Add(-6 * time.Minute) },
		"a fast clock":           func(i *initiator) { i.clock = time.Now().Add(6 * time.Minute) },
		"another realm":          func(i *initiator) { i.realm = "OTHER.TEST" },
		"a forged realm":         func(i *initiator) { i.realm, i.asserted = "OTHER.TEST", "EXAMPLE.TEST" },
		"rc4":                    func(i *initiator) { i.kind = rc4 },
		"no flags":               func(i *initiator) { i.noChecksum = true },
		"three messages":         func(i *initiator) { i.flags |= dceStyle },
		"a restriction":          func(i *initiator) { i.restrictions = types.AuthorizationData{{ADType: 4711, ADData: []byte("x")}} },
		"another version":        func(i *initiator) { i.change = func(r *messages.APReq) { r.PVNO = 4 } },
		"another ticket version": func(i *initiator) { i.change = func(r *messages.APReq) { r.Ticket.TktVNO = 4 } },
		"user to user":           func(i *initiator) { i.change = func(r *messages.APReq) { types.SetFlag(&r.APOptions, 1) } },
		"another's authenticator": func(i *initiator) {
			i.change = func(r *messages.APReq) { r.EncryptedAuthenticator.Cipher[20] ^= 1 }
		},
		"no name":             func(i *initiator) { i.name = []string{""} },
		"a name with a slash": func(i *initiator) { i.name = []string{"alice/x"} },
		"a name with a realm": func(i *initiator) { i.name = []string{"alice@EXAMPLE.TEST"} },
	} {
		t.Run(name, func(t *testing.T) {
			i := c.client("alice")
			spoil(i)
			id, err := try(t, a, i, none)
			require.ErrorIs(t, err, auth.ErrBadCredentials)
			require.Zero(t, id)
		})
	}
	relevant := c.client("alice")
	relevant.restrictions = types.AuthorizationData{{ADType: 1, ADData: []byte{0x30, 0}}}
	_, err := try(t, a, relevant, none)
	require.NoError(t, err, "what may be passed over")
}

func TestClientsOfOtherRealmsAreLetInWhereTheyMay(t *testing.T) {
	c := imapCentre(t)
	a := server(t, c, gssapi.Options{Realms: []string{"OTHER.TEST"}})
	i := c.client("alice")
	i.realm = "OTHER.TEST"
	_, err := try(t, a, i, none)
	require.ErrorIs(t, err, auth.ErrBadCredentials, "the path was not checked")
	i = c.client("alice")
	i.realm, i.ticketFlags = "OTHER.TEST", []int{12}
	_, err = try(t, a, i, none)
	require.NoError(t, err)
	_, err = try(t, a, c.client("alice"), none)
	require.ErrorIs(t, err, auth.ErrBadCredentials, "the own realm is not in the list")
}

func TestATicketForAnAddressIsGoodThereAlone(t *testing.T) {
	c := imapCentre(t)
	a := server(t, c, gssapi.Options{})
	for address, want := range map[string]error{"192.0.2.1": nil, "192.0.2.2": auth.ErrBadCredentials, "2001:db8::1": auth.ErrBadCredentials} {
		i := c.client("alice")
		i.addresses = types.HostAddresses{types.HostAddressFromNetIP(netip.MustParseAddr(address).AsSlice())}
		_, err := try(t, a, i, none)
		require.ErrorIs(t, err, want, address)
	}
}

func TestARequestIsGoodOnce(t *testing.T) {
	c := imapCentre(t)
	for _, flags := range []uint32{integ, mutual | integ} {
		a := server(t, c, gssapi.Options{})
		i := c.client("alice")
		i.flags = flags
		token := i.token(t)
		_, _, err := begin(t, a, token)
		require.NoError(t, err)
		_, _, err = begin(t, a, token)
		require.ErrorIs(t, err, auth.ErrBadCredentials)
		a.SetClock(func() time.Time { return time.Now().Add(4 * time.Minute) }, time.Now().Add(-time.Hour))
		_, _, err = begin(t, a, token)
		require.ErrorIs(t, err, auth.ErrBadCredentials)
		require.ErrorContains(t, err, "shown before")
	}
}

func TestRFC4120AServerThatForgotRefusesWhatItMayHaveSeen(t *testing.T) {
	c := imapCentre(t)
	a := server(t, c, gssapi.Options{})
	a.SetClock(time.Now, time.Now())
	i := c.client("alice")
	i.flags = integ
	_, _, err := begin(t, a, i.token(t))
	require.ErrorIs(t, err, auth.ErrUnavailable)
	_, err = try(t, a, c.client("alice"), none)
	require.NoError(t, err, "the server's own key makes the request worthless for others")
	i.clock = time.Now().Add(40 * time.Second)
	a.SetClock(func() time.Time { return i.clock }, time.Now())
	_, err = try(t, a, i, none)
	require.NoError(t, err)
	i = c.client("alice")
	i.flags, i.clock = integ, time.Now().Add(40*time.Second)
	a.SetClock(time.Now, time.Now().Add(-time.Hour))
	_, _, err = begin(t, a, i.token(t))
	require.ErrorIs(t, err, auth.ErrBadCredentials, "a clock that is ahead")
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	c := imapCentre(t)
	a := server(t, c, gssapi.Options{Replays: 4})
	login := func(flags uint32) error {
		i := c.client("alice")
		i.flags = flags
		_, err := try(t, a, i, none)
		return err
	}
	require.NoError(t, login(integ))
	require.NoError(t, login(integ))
	require.ErrorIs(t, login(integ), auth.ErrUnavailable)
	require.NoError(t, login(mutual), "needs no memory")
	require.Equal(t, 2, a.Remembered())
	later := time.Now().Add(21 * time.Minute)
	a.SetClock(func() time.Time { return later }, time.Now().Add(-time.Hour))
	i := c.client("alice")
	i.flags, i.clock = integ, later
	_, err := try(t, a, i, none)
	require.NoError(t, err)
	require.Equal(t, 1, a.Remembered())
}

func TestA09AClientActsForHimselfOnly(t *testing.T) {
	c := imapCentre(t)
	a := server(t, c, gssapi.Options{})
	for authzID, want := range map[string]error{
		"": nil, "alice@example.test": nil, "Alice": nil, "alice@EXAMPLE.TEST": nil,
		"bob@example.test": auth.ErrBadCredentials, "bob": auth.ErrBadCredentials, "mallory": auth.ErrBadCredentials,
		"alice\x00": auth.ErrBadCredentials, "\xff": auth.ErrBadCredentials,
	} {
		id, err := try(t, a, c.client("alice"), none+authzID)
		require.ErrorIs(t, err, want, authzID)
		require.Equal(t, err == nil, id.User == "alice@example.test")
	}
}

func TestA14UnknownAndDisabledClientsAreRefusedAlike(t *testing.T) {
	c := imapCentre(t)
	a := server(t, c, gssapi.Options{})
	for name, want := range map[string]error{"carol": auth.ErrDisabled, "mallory": auth.ErrBadCredentials, "alice+x": auth.ErrBadCredentials} {
		_, err := try(t, a, c.client(name), none)
		require.ErrorIs(t, err, want, name)
	}
	_, err := try(t, a, c.client("alice", "admin"), none)
	require.ErrorIs(t, err, auth.ErrBadCredentials)
}

func TestNoSecurityLayerIsTheOnlyOne(t *testing.T) {
	c := imapCentre(t)
	a := server(t, c, gssapi.Options{})
	for _, choice := range []string{"", "\x01", "\x01\x00\x00", "\x00\x00\x00\x00", "\x02\x00\x10\x00", "\x04\x00\x10\x00", "\x03\x00\x00\x00", "\x01\x00\x10\x00", "\x01\x00\x00\x01"} {
		_, err := try(t, a, c.client("alice"), choice)
		require.ErrorIs(t, err, auth.ErrBadCredentials, "%x", choice)
	}
}

func TestWrapTokensThatAreNotTheNextAreRefused(t *testing.T) {
	c := imapCentre(t)
	a := server(t, c, gssapi.Options{})
	for name, spoil := range map[string]func([]byte) []byte{
		"nothing":          func([]byte) []byte { return []byte{} },
		"a header alone":   func(b []byte) []byte { return b[:16] },
		"cut":              func(b []byte) []byte { return b[:len(b)-1] },
		"longer":           func(b []byte) []byte { return append(b, 0) },
		"of the server":    func(b []byte) []byte { b[2] |= sentByAcceptor; return b },
		"sealed":           func(b []byte) []byte { b[2] |= sealed; return b },
		"another key":      func(b []byte) []byte { b[2] ^= acceptorSubKey; return b },
		"unknown flags":    func(b []byte) []byte { b[2] |= 0x40; return b },
		"no filler":        func(b []byte) []byte { b[3] = 0; return b },
		"another kind":     func(b []byte) []byte { b[1] = 5; return b },
		"a long checksum":  func(b []byte) []byte { b[4] = 0xff; return b },
		"a short checksum": func(b []byte) []byte { b[5] = 0; return b },
		"rotated":          func(b []byte) []byte { b[7]++; return b },
		"out of order":     func(b []byte) []byte { b[15]++; return b },
		"another text":     func(b []byte) []byte { b[16] ^= 2; return b },
		"another sum":      func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			i := c.client("alice")
			e, challenge, err := begin(t, a, i.token(t))
			require.NoError(t, err)
			i.proved(t, challenge)
			_, _, err = e.Next(nil)
			require.NoError(t, err)
			_, done, err := e.Next(spoil(i.wrap(t, []byte(none), 0)))
			require.ErrorIs(t, err, auth.ErrBadCredentials)
			require.False(t, done)
			require.Zero(t, e.Identity())
		})
	}
	i := c.client("alice")
	e, _, err := begin(t, a, i.token(t))
	require.NoError(t, err)
	_, _, err = e.Next([]byte("too early"))
	require.ErrorIs(t, err, auth.ErrBadCredentials)
}

func TestAKeytabThatCannotBeUsedIsAnErrorOfNew(t *testing.T) {
	good := imapCentre(t).keytab(t)
	weak := newCentre()
	require.NoError(t, weak.table.AddEntry("imap/mail.example.test", "EXAMPLE.TEST", "secret", time.Now(), 1, rc4))
	for name, o := range map[string]gssapi.Options{
		"none": {}, "missing": {Keytab: filepath.Join(t.TempDir(), "none")}, "a directory": {Keytab: t.TempDir()}, "two": {Keytab: "x", KeytabData: good},
		"empty": {KeytabData: []byte{}}, "text": {KeytabData: []byte("Zm9vYmFy secret")}, "no entries": {KeytabData: good[:2]}, "cut": {KeytabData: good[:20]},
		"another host": {KeytabData: good, Hostname: "other"}, "rc4 alone": {KeytabData: weak.keytab(t)}, "long": {KeytabData: make([]byte, 2<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := gssapi.New(owners(t), o)
			require.ErrorIs(t, err, gssapi.ErrKeytab)
			require.NotContains(t, err.Error(), "secret")
		})
	}
	_, err := gssapi.New(accountauth.New(people(t)), gssapi.Options{KeytabData: good})
	require.ErrorIs(t, err, gssapi.ErrNoTickets)
}

func TestAKeytabIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keytab")
	before, after := imapCentre(t), newCentre()
	require.NoError(t, after.table.AddEntry("imap/mail.example.test", "EXAMPLE.TEST", "another", time.Now(), 2, aes256))
	require.NoError(t, after.table.AddEntry("imap/mail.example.test", "EXAMPLE.TEST", "another", time.Now(), 1, aes256))
	require.NoError(t, os.WriteFile(path, before.keytab(t), 0o600))
	a, err := gssapi.New(owners(t), gssapi.Options{Keytab: path})
	require.NoError(t, err)
	_, err = try(t, a, after.client("alice"), none)
	require.ErrorIs(t, err, auth.ErrBadCredentials)
	require.NoError(t, os.WriteFile(path, []byte("damaged"), 0o600))
	require.ErrorIs(t, a.Reload(), gssapi.ErrKeytab)
	_, err = try(t, a, before.client("alice"), none)
	require.NoError(t, err, "the last good keys stay")
	require.NoError(t, os.WriteFile(path, after.keytab(t), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() { a.Watch(ctx, time.Millisecond, nil); close(watched) }()
	require.Eventually(t, func() bool { _, err = try(t, a, after.client("alice"), none); return err == nil }, time.Minute, time.Millisecond)
	cancel()
	<-watched
}

func TestGSSAPIIsOfferedWithTLSAndWithoutAndKeepsThePowersBelow(t *testing.T) {
	d := people(t)
	chain := auth.Chain(accountauth.New(d), gssapi.Accounts(d, map[string]string{"EXAMPLE.TEST": "example.test"}))
	a, err := gssapi.New(chain, gssapi.Options{KeytabData: imapCentre(t).keytab(t)})
	require.NoError(t, err)
	throttled := auth.NewThrottle(a, auth.ThrottleOptions{})
	require.Equal(t, []string{"GSSAPI"}, auth.Mechanisms(throttled, auth.Policy{}, auth.Credentials{})[:1])
	require.Subset(t, auth.Mechanisms(throttled, auth.Policy{}, auth.Credentials{Secure: true}), []string{"GSSAPI", "PLAIN"})
	require.NotContains(t, auth.Mechanisms(throttled, auth.Policy{Plain: []string{"PLAIN"}}, auth.Credentials{}), "GSSAPI")
	twice, err := gssapi.New(a, gssapi.Options{KeytabData: imapCentre(t).keytab(t)})
	require.NoError(t, err)
	require.Len(t, twice.Mechanisms(), 2)
}

// down is a directory that can't be asked.
type down struct{}

func (down) Account(context.Context, string) (directory.Account, error) {
	return directory.Account{}, errors.New("connection refused")
}

func TestA05ADirectoryThatIsDownIsNotABadTicket(t *testing.T) {
	c := imapCentre(t)
	a, err := gssapi.New(gssapi.Accounts(down{}, map[string]string{"EXAMPLE.TEST": "example.test"}), gssapi.Options{KeytabData: c.keytab(t)})
	require.NoError(t, err)
	_, err = try(t, a, c.client("alice"), none)
	require.ErrorIs(t, err, auth.ErrUnavailable)
	require.NotErrorIs(t, err, auth.ErrBadCredentials)
}

func TestTokensOfAnyLengthAreRefusedWithoutAnySecretInTheError(t *testing.T) {
	c := imapCentre(t)
	a := server(t, c, gssapi.Options{})
	good := c.client("alice").token(t)
	for n := range len(good) {
		_, _, err := begin(t, a, good[:n])
		require.ErrorIs(t, err, auth.ErrBadCredentials, n)
	}
	for _, token := range [][]byte{append(good, 0), make([]byte, 13<<10), framed(t, []byte{1, 0}), framed(t, []byte{2, 0}), framed(t, []byte{3, 0, 0x6e, 0})} {
		_, _, err := begin(t, a, token)
		require.ErrorIs(t, err, auth.ErrBadCredentials)
		require.Less(t, len(fmt.Sprint(err)), 200)
	}
}

func TestAccountsKeepThePromisesOfAnAuthenticator(t *testing.T) {
	realms := map[string]string{"EXAMPLE.TEST": "example.test"}
	authtest.Run(t, authtest.Fixture{
		Auth: gssapi.Accounts(people(t), realms), User: "alice@example.test", Password: "ticket of alice", Identity: "alice@example.test",
		Other: "bob@example.test", Unknown: "mallory@example.test", Disabled: "carol@example.test", DisabledPassword: "ticket of carol",
		Broken: gssapi.Accounts(down{}, realms),
		Shown: func(secret string) auth.Proof {
			name, ok := strings.CutPrefix(secret, "ticket of ")
			if !ok {
				name = "nobody"
			}
			return auth.Ticket{Name: name, Realm: "EXAMPLE.TEST"}
		},
	})
}

func TestClientsThatDoNotLetTheServerProveItselfMayBeRefused(t *testing.T) {
	c := imapCentre(t)
	a := server(t, c, gssapi.Options{Unproved: gssapi.RefuseUnproved})
	i := c.client("alice")
	i.flags = integ
	_, err := try(t, a, i, none)
	require.ErrorIs(t, err, auth.ErrBadCredentials)
	_, err = try(t, a, c.client("alice"), none)
	require.NoError(t, err)
}

func TestLetterCaseOfAServiceIsNoMatter(t *testing.T) {
	c := newCentre("imap/mail.example.test", "IMAP/Mail.example.test")
	a := server(t, c, gssapi.Options{Hostname: "mail.example.test"})
	for _, service := range []string{"imap/mail.example.test", "IMAP/Mail.example.test"} {
		i := c.client("alice")
		i.service = service
		_, err := try(t, a, i, none)
		require.NoError(t, err, service)
	}
}

func TestATicketIsOfAnEntryOfAnLDAPDirectory(t *testing.T) {
	c := imapCentre(t)
	d := ldapfake.New(t, ldap.Config{Domain: "example.test"})
	for _, name := range []string{"alice", "bob"} {
		d.Add("uid="+name+",ou=people,dc=example,dc=test", "uid", name, "mail", name+"@example.test")
	}
	a, err := gssapi.New(ldapauth.New(d, ldapauth.Options{Realms: map[string]string{"EXAMPLE.TEST": "example.test"}}), gssapi.Options{KeytabData: c.keytab(t)})
	require.NoError(t, err)
	for _, authzID := range []string{"", "alice", "alice@example.test"} {
		id, err := try(t, a, c.client("alice"), none+authzID)
		require.NoError(t, err, authzID)
		require.Equal(t, "alice@example.test", id.User)
	}
	for name, authzID := range map[string]string{"alice": "bob", "mallory": "", "alice+x": ""} {
		_, err = try(t, a, c.client(name), none+authzID)
		require.ErrorIs(t, err, auth.ErrBadCredentials, name)
	}
	require.Empty(t, d.Binds(), "there is no password")
}
