package ldap

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/realtest"
)

func TestR3411SecondServerAnswersWhenTheFirstIsKilled(t *testing.T) {
	first := startSlapd(t, realtest.SlapdOptions{})
	second := startSlapd(t, realtest.SlapdOptions{Of: first})
	config := atSlapd(first.URI(), second.URI())
	config.Retry = 100 * time.Millisecond
	c := connectReal(t, config)
	require.NoError(t, first.Set(realtest.SlapdUser(1), "mailHost", "moved.example.test"))
	require.NoError(t, first.Set(realtest.SlapdUser(1), "userPassword", realtest.SSHA("changed")))
	require.Equal(t, "moved.example.test", findUser(t, c, "user1@example.test").Get("mailHost"))
	require.NoError(t, second.CatchUp(t.Context()))

	first.Kill()
	require.Equal(t, "moved.example.test", findUser(t, c, "user1@example.test").Get("mailHost"))
	require.NoError(t, c.Bind(t.Context(), realtest.SlapdUser(1), "changed"))
	require.ErrorIs(t, c.Bind(t.Context(), realtest.SlapdUser(1), "pw"), ErrPassword)
	_, err := c.Lookup(t.Context(), "nobody@example.test")
	require.ErrorIs(t, err, ErrNoEntry)

	require.NoError(t, first.Restart(t.Context()))
	second.Kill()
	require.Eventually(t, func() bool {
		e, err := c.Lookup(t.Context(), "user1@example.test")
		return err == nil && e.Get("mailHost") == "moved.example.test"
	}, long, 10*time.Millisecond)
	first.Kill()
	_, err = c.Lookup(t.Context(), "user1@example.test")
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, c.Bind(t.Context(), realtest.SlapdUser(1), "pw"), ErrUnavailable)
}

// asking is something to ask whose answer is known.
type asking func(context.Context, *Connector) error

func askings() []asking {
	isError := func(err, want error) error {
		if errors.Is(err, want) {
			return nil
		}
		return fmt.Errorf("%w instead of %w", orNil(err), want)
	}
	return []asking{
		func(ctx context.Context, c *Connector) error {
			e, err := c.Lookup(ctx, "user1@example.test")
			if err == nil && e.Get("mailHost") != "backend1.example.test" {
				return errors.New("another entry")
			}
			return err
		},
		func(ctx context.Context, c *Connector) error {
			_, err := c.Lookup(ctx, "nobody@example.test")
			return isError(err, ErrNoEntry)
		},
		func(ctx context.Context, c *Connector) error { return c.Bind(ctx, realtest.SlapdUser(1), "pw") },
		func(ctx context.Context, c *Connector) error {
			return isError(c.Bind(ctx, realtest.SlapdUser(1), "wrong"), ErrPassword)
		},
		func(ctx context.Context, c *Connector) error {
			found, err := c.Search(ctx, Query{Filter: "(uid=user*)"})
			if err == nil && len(found) != 10 {
				return fmt.Errorf("%d entries", len(found))
			}
			return err
		},
	}
}

func orNil(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

// load asks all questions all the time, until it is stopped. Each answer is
// the right one or ErrUnavailable.
type load struct {
	t       *testing.T
	c       *Connector
	right   []atomic.Int64 // answers to each asking
	outages atomic.Int64
	wrong   chan error
	stop    func()
}

func startLoad(t *testing.T, c *Connector) *load {
	ctx, cancel := context.WithCancel(context.Background())
	all := askings()
	l := &load{t: t, c: c, right: make([]atomic.Int64, len(all)), wrong: make(chan error, 1)}
	var askers sync.WaitGroup
	for i, ask := range all {
		for range 2 {
			askers.Go(func() {
				for ctx.Err() == nil {
					l.count(i, ask(context.WithoutCancel(ctx), c))
				}
			})
		}
	}
	l.stop = sync.OnceFunc(func() { cancel(); askers.Wait() })
	t.Cleanup(l.stop)
	return l
}

func (l *load) count(i int, err error) {
	switch {
	case err == nil:
		l.right[i].Add(1)
	case errors.Is(err, ErrUnavailable):
		l.outages.Add(1)
		time.Sleep(time.Millisecond) // a client would wait longer
	default:
		select {
		case l.wrong <- fmt.Errorf("asking %d: %w", i, err):
		default:
		}
	}
}

// answered waits until each asking has been answered right again.
func (l *load) answered() {
	l.t.Helper()
	before := make([]int64, len(l.right))
	for i := range l.right {
		before[i] = l.right[i].Load()
	}
	require.Eventually(l.t, func() bool {
		for i := range l.right {
			if l.right[i].Load() < before[i]+3 {
				return false
			}
		}
		return true
	}, long, time.Millisecond)
}

// failing waits until an answer has been ErrUnavailable again.
func (l *load) failing() {
	l.t.Helper()
	before := l.outages.Load()
	require.Eventually(l.t, func() bool { return l.outages.Load() > before }, long, time.Millisecond)
}

func (l *load) end() {
	l.t.Helper()
	l.stop()
	select {
	case err := <-l.wrong:
		require.NoError(l.t, err, "a wrong answer")
	default:
	}
}

func TestR3411ServerKilledAndRestartedUnderLoadNeverGivesAWrongAnswer(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	config := atSlapd(s.URI())
	config.Retry = 50 * time.Millisecond
	l := startLoad(t, connectReal(t, config))
	for range 3 {
		l.answered()
		s.Kill()
		l.failing()
		require.NoError(t, s.Restart(t.Context()))
	}
	l.answered()
	l.end()
}

func TestR3411StalledServerIsUnavailableAndTheNextOneAnswers(t *testing.T) {
	first := startSlapd(t, realtest.SlapdOptions{})
	second := startSlapd(t, realtest.SlapdOptions{Of: first})
	config := atSlapd(first.URI())
	config.Retry, config.Timeout = 100*time.Millisecond, time.Second
	alone := startLoad(t, connectReal(t, config))
	config.URIs = append(config.URIs, second.URI())
	both := connectReal(t, config)
	alone.answered()
	require.Equal(t, realtest.SlapdUser(1), findUser(t, both, "user1@example.test").DN)

	require.NoError(t, first.Pause())
	alone.failing()
	require.Eventually(t, func() bool {
		_, err := both.Lookup(t.Context(), "user1@example.test")
		return err == nil && both.Bind(t.Context(), realtest.SlapdUser(1), "pw") == nil
	}, long, time.Millisecond)
	require.NoError(t, first.Resume())
	alone.answered()
	alone.end()
}

func TestR3411WhoAsksAStalledServerNeedNotWaitLongerThanHisContext(t *testing.T) {
	s := startSlapd(t, realtest.SlapdOptions{})
	config := atSlapd(s.URI())
	config.Timeout = maxTimeout
	c := connectReal(t, config)
	findUser(t, c, "user1@example.test")
	require.NoError(t, s.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Lookup(ctx, "user1@example.test")
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, c.Bind(ctx, realtest.SlapdUser(1), "pw"), ErrUnavailable)
}
