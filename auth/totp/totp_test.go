package totp

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/auth"
	"github.com/posthouse-mail/posthouse/auth/apppassword"
	"github.com/posthouse-mail/posthouse/auth/authtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house knows alice, bob, and carol who is disabled, and passwords alone.
type house struct{}

// proving is a house that believes every proof.
type proving struct{ house }

func (proving) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	if c.Proof != nil {
		short, _, _ := strings.Cut(c.User, "@")
		c.Proof, c.Password = nil, short+"'s secret"
	}
	return house{}.Authenticate(ctx, c)
}

func (house) Authenticate(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
	name, err := house{}.AccountName(ctx, c.User)
	short, _, _ := strings.Cut(name, "@")
	switch {
	case ctx.Err() != nil:
		return auth.Identity{}, ctx.Err()
	case err != nil || c.Proof != nil || c.Password != short+"'s secret" || c.AuthzID != "" && c.AuthzID != c.User:
		return auth.Identity{}, auth.ErrBadCredentials
	case short == "carol":
		return auth.Identity{}, auth.ErrDisabled
	}
	return auth.Identity{User: name}, nil
}

func (house) AccountName(_ context.Context, login string) (string, error) {
	name, _, _ := strings.Cut(auth.NormalName(login), "@")
	if name == "alice" || name == "bob" || name == "carol" {
		return name + "@example.test", nil
	}
	return "", errors.New("nobody")
}

// store keeps second factors in memory.
type store struct {
	mu  sync.Mutex
	all map[string]Factor
}

func (s *store) Factor(_ context.Context, user string) (Factor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[user], nil
}

func (s *store) Spend(_ context.Context, user, hash string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, left := s.all[user], []string{}
	for _, h := range f.Recovery {
		if h != hash {
			left = append(left, h)
		}
	}
	there := len(left) < len(f.Recovery)
	f.Recovery = left
	s.all[user] = f
	return there, nil
}

// down is a store that can't be asked.
type down struct{ *store }

func (down) Factor(context.Context, string) (Factor, error) {
	return Factor{}, errors.New("connection refused")
}

// full is a store that can't be written.
type full struct{ *store }

func (full) Spend(context.Context, string, string) (bool, error) {
	return false, errors.New("disk is full")
}

const alice = "alice@example.test"

// with returns a store in which alice has this factor.
func with(f Factor) *store { return &store{all: map[string]Factor{alice: f}} }

func try(t testing.TB, a auth.Authenticator, user, password string) error {
	id, err := a.Authenticate(t.Context(), auth.Credentials{Service: "imap", User: user, Password: password})
	if err == nil && id.User == "" || err != nil && id.User != "" {
		t.Errorf("got %v, %v", id, err)
	}
	return err
}

func TestWithoutASecondFactorTheWrapperKeepsThePromises(t *testing.T) {
	k := NewKey()
	authtest.Run(t, authtest.Fixture{
		Auth: New(house{}, &store{all: map[string]Factor{"bob@example.test": {Key: &k}, alice: {Policy: Disabled, Key: &k}}}, Options{}),
		User: "alice", Password: "alice's secret", Identity: alice, Other: "bob", Unknown: "mallory", Disabled: "carol", DisabledPassword: "carol's secret",
		Broken: New(house{}, down{}, Options{}),
	})
}

func TestACodeIsAppendedToThePasswordAndGoodOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKey()
		a := New(house{}, with(Factor{Key: &k}), Options{})
		code := k.Code(time.Now())
		wrong := fmt.Sprintf("%06d", (must(code)+1)%1_000_000)
		for _, password := range []string{
			"alice's secret", "alice's secret" + wrong, "wrong" + code, code, "alice's secret " + code, "alice's secret" + code[1:], code + "alice's secret", "",
			"alice's secret" + code + code, "alice's secret" + k.Code(time.Now().Add(-time.Minute)), "alice's secret" + k.Code(time.Now().Add(time.Minute)),
		} {
			require.ErrorIs(t, try(t, a, "alice", password), auth.ErrBadCredentials, password)
		}
		require.NoError(t, try(t, a, "alice", "alice's secret"+code), "what failed did not use it up")
		for _, spelling := range []string{"alice", "ALICE", "alice+tag", alice} {
			require.ErrorIs(t, try(t, a, spelling, "alice's secret"+code), auth.ErrBadCredentials, "it was used")
		}
		time.Sleep(30 * time.Second)
		require.ErrorIs(t, try(t, a, "alice", "alice's secret"+code), auth.ErrBadCredentials)
		next, before := k.Code(time.Now().Add(30*time.Second)), k.Code(time.Now())
		require.NoError(t, try(t, a, "alice", "alice's secret"+next), "a clock may be ahead")
		require.ErrorIs(t, try(t, a, "alice", "alice's secret"+before), auth.ErrBadCredentials, "and time does not go back")
		require.NoError(t, try(t, a, "bob", "bob's secret"), "others have none")
		require.ErrorIs(t, try(t, a, "bob", "bob's secret123456"), auth.ErrBadCredentials)
	})
}

// must reads the number in a code.
func must(code string) (n int) {
	_, _ = fmt.Sscanf(code, "%d", &n)
	return n
}

func TestOfManyWhoShowACodeAtOnceOneGetsIn(t *testing.T) {
	k := NewKey()
	codes, hashes := NewRecovery()
	a := New(house{}, with(Factor{Key: &k, Recovery: hashes}), Options{})
	for _, code := range []string{k.Code(time.Now()), codes[3]} {
		var in atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if try(t, a, "alice", "alice's secret"+code) == nil {
					in.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, in.Load())
	}
}

func TestWhoNeedsACodeIsDecidedByTheAccountAndNotItsSpelling(t *testing.T) {
	k := NewKey()
	// The directory behind this one knows a name that it tells nobody about.
	secretive := auth.AuthenticatorFunc(func(ctx context.Context, c auth.Credentials) (auth.Identity, error) {
		if c.User == "al" {
			c.User = "alice"
		}
		return house{}.Authenticate(ctx, c)
	})
	a := New(secretive, with(Factor{Key: &k}), Options{})
	require.ErrorIs(t, try(t, a, "al", "alice's secret"), auth.ErrBadCredentials)
	require.ErrorIs(t, try(t, a, "alice", "alice's secret"), auth.ErrBadCredentials)
	require.NoError(t, try(t, a, alice, "alice's secret"+k.Code(time.Now())))
}

func TestPoliciesSayWhoNeedsASecondFactor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKey()
		for _, c := range []struct {
			house, own     Policy
			key            *Key
			plain, coded   bool
			enabled, proof bool
		}{
			{Inherit, Inherit, nil, true, false, false, true}, {Inherit, Inherit, &k, false, true, true, false},
			{Disabled, Inherit, &k, true, false, false, true}, {Disabled, Mandatory, &k, false, true, true, false},
			{Mandatory, Inherit, nil, false, false, true, false}, {Mandatory, Inherit, &k, false, true, true, false},
			{Mandatory, Optional, nil, true, false, false, true}, {Mandatory, Disabled, &k, true, false, false, true},
			{Optional, Mandatory, nil, false, false, true, false},
		} {
			a := New(proving{}, with(Factor{Policy: c.own, Key: c.key}), Options{Policy: c.house})
			enabled, err := a.Enabled(t.Context(), alice)
			require.NoError(t, err)
			require.Equal(t, c.enabled, enabled, "%+v", c)
			require.Equal(t, c.plain, try(t, a, "alice", "alice's secret") == nil, "%+v", c)
			require.Equal(t, c.coded, try(t, a, "alice", "alice's secret"+k.Code(time.Now())) == nil, "%+v", c)
			_, err = a.Authenticate(t.Context(), auth.Credentials{User: "alice", Proof: &auth.Response{}})
			require.Equal(t, c.proof, err == nil, "%+v", c)
			for _, p := range []auth.Proof{auth.Token("x"), &auth.Certificate{}, auth.Ticket{}} {
				_, err = a.Authenticate(t.Context(), auth.Credentials{User: "alice", Proof: p})
				require.NoError(t, err)
			}
		}
	})
}

func TestARecoveryCodeIsGoodInsteadOnce(t *testing.T) {
	k := NewKey()
	codes, hashes := NewRecovery()
	require.Len(t, codes, 10)
	require.NotEqual(t, codes[0], codes[1])
	require.Regexp(t, `^[a-z]{4}(-[a-z]{4}){4}$`, codes[0])
	s := with(Factor{Key: &k, Recovery: hashes})
	a := New(house{}, s, Options{})
	require.ErrorIs(t, try(t, a, "alice", "wrong"+codes[0]), auth.ErrBadCredentials)
	require.ErrorIs(t, try(t, a, "alice", codes[0]), auth.ErrBadCredentials)
	require.ErrorIs(t, try(t, New(house{}, full{s}, Options{}), "alice", "alice's secret"+codes[0]), auth.ErrUnavailable)
	require.NoError(t, try(t, a, "alice", "alice's secret"+codes[0]))
	require.ErrorIs(t, try(t, a, "alice", "alice's secret"+codes[0]), auth.ErrBadCredentials)
	require.NoError(t, a.Verify(t.Context(), alice, codes[9]))
	require.ErrorIs(t, a.Verify(t.Context(), alice, codes[9]), auth.ErrBadCredentials)
	require.ErrorIs(t, a.Verify(t.Context(), alice, ""), auth.ErrBadCredentials)
	require.NoError(t, a.Verify(t.Context(), alice, k.Code(time.Now())))
	require.NoError(t, a.Verify(t.Context(), "bob@example.test", ""))
	require.ErrorIs(t, a.Verify(t.Context(), "bob@example.test", "123456"), auth.ErrBadCredentials)
	require.Len(t, s.all[alice].Recovery, 8)
}

func TestAStoreThatIsDownOrHoldsNonsenseIsUnavailable(t *testing.T) {
	for _, s := range []Store{down{}, with(Factor{Key: &Key{}}), with(Factor{Key: &Key{Secret: secretOf(20), Algorithm: "MD5"}})} {
		a := New(house{}, s, Options{})
		require.ErrorIs(t, try(t, a, "alice", "alice's secret"), auth.ErrUnavailable)
		require.ErrorIs(t, a.Verify(t.Context(), alice, "123456"), auth.ErrUnavailable)
	}
}

func TestFailedCodesCountForAThrottleAsWrongPasswords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewKey()
		a := auth.NewThrottle(New(house{}, with(Factor{Key: &k}), Options{}), auth.ThrottleOptions{UserFailures: 3, Patience: time.Second, Delay: 10 * time.Second})
		wrong := fmt.Sprintf("alice's secret%06d", (must(k.Code(time.Now()))+1)%1_000_000)
		for range 3 {
			require.ErrorIs(t, try(t, a, "alice", wrong), auth.ErrBadCredentials)
		}
		require.ErrorIs(t, try(t, a, "ALICE", wrong), auth.ErrTooMany)
	})
}

func TestUsedCodesAreRememberedInBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUsed(100)
		k := NewKey()
		now := k.step(time.Now())
		for i := range 100 {
			require.NoError(t, u.use(fmt.Sprint(i), now, k.end(now)))
		}
		require.ErrorIs(t, u.use("one more", now, k.end(now)), auth.ErrUnavailable, "what may come again is not forgotten for it")
		require.ErrorIs(t, u.use("7", now, k.end(now)), auth.ErrBadCredentials)
		require.NoError(t, u.use("7", now+1, k.end(now+1)))
		time.Sleep(time.Until(k.end(now)))
		require.NoError(t, u.use("one more", now+2, k.end(now+2)))
		require.Len(t, u.last, 2)
	})
}

func TestAFileKeepsSecondFactors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "second-factors.jsonl")
	f, err := OpenFile(path)
	require.NoError(t, err)
	ctx := t.Context()
	k := Key{Secret: secretOf(32), Algorithm: SHA256, Digits: 8, Period: 60}
	codes, hashes := NewRecovery()
	require.ErrorIs(t, f.SetUp(ctx, alice, Key{}, nil), ErrKey)
	require.ErrorIs(t, f.SetUp(ctx, alice, k, make([]string, 11)), ErrKey)
	require.NoError(t, f.SetUp(ctx, alice, k, hashes))
	require.NoError(t, f.SetPolicy(ctx, alice, Mandatory))
	require.NoError(t, f.SetPolicy(ctx, "bob", Disabled))
	require.NoError(t, f.SetPolicy(ctx, "bob", Inherit))
	require.NoError(t, New(house{}, f, Options{}).Verify(ctx, alice, codes[2]))
	spent, err := f.Spend(ctx, alice, hashes[2])
	require.NoError(t, err)
	require.False(t, spent)
	require.NoError(t, f.Close())

	f, err = OpenFile(path)
	require.NoError(t, err)
	defer f.Close()
	a := New(house{}, f, Options{})
	require.ErrorIs(t, a.Verify(ctx, alice, codes[2]), auth.ErrBadCredentials, "once for ever")
	require.NoError(t, a.Verify(ctx, alice, k.Code(time.Now())))
	got, err := f.Factor(ctx, alice)
	require.NoError(t, err)
	require.Equal(t, Factor{Mandatory, &k, append(hashes[:2:2], hashes[3:]...)}, got)
	require.NoError(t, f.TakeDown(ctx, alice))
	require.ErrorIs(t, a.Verify(ctx, alice, ""), auth.ErrBadCredentials, "the policy stays")
	require.NoError(t, f.RemoveUser(ctx, alice))
	require.NoError(t, f.RemoveUser(ctx, alice))
	require.NoError(t, a.Verify(ctx, alice, ""))
	got, err = f.Factor(ctx, "bob")
	require.NoError(t, err)
	require.Equal(t, Factor{}, got)
}

func TestAGuardLeavesThePasswordToServicesWithAFieldForTheCode(t *testing.T) {
	k := NewKey()
	s := with(Factor{Key: &k})
	a := New(house{}, s, Options{})
	g := apppassword.NewGuard(house{}, a.Enabled, "web")
	require.ErrorIs(t, try(t, g, "alice", "alice's secret"), auth.ErrBadCredentials)
	require.NoError(t, try(t, g, "bob", "bob's secret"))
	id, err := g.Authenticate(t.Context(), auth.Credentials{Service: "web", User: "alice", Password: "alice's secret"})
	require.NoError(t, err)
	require.NoError(t, a.Verify(t.Context(), id.User, k.Code(time.Now())))
	require.ErrorIs(t, try(t, apppassword.NewGuard(house{}, New(house{}, down{}, Options{}).Enabled), "bob", "bob's secret"), auth.ErrUnavailable)
}
