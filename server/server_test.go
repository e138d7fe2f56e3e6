package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/posthouse-mail/posthouse/listener"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// diary records what happens in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) write(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, s)
}

func (d *diary) service(name string) Service {
	return Func(name, func(ctx context.Context, ready func()) error {
		d.write("start " + name)
		ready()
		<-ctx.Done()
		d.write("stop " + name)
		return nil
	})
}

func TestServicesStartInOrderAndStopInReverse(t *testing.T) {
	var d diary
	s := &Server{Services: []Service{d.service("a"), d.service("b"), d.service("c")}}
	ctx, cancel := context.WithCancel(context.Background())
	require.NoError(t, s.Run(ctx, cancel))
	require.Equal(t, []string{"start a", "start b", "start c", "stop c", "stop b", "stop a"}, d.lines)
}

func TestStartThatFailsStopsWhatWasStarted(t *testing.T) {
	var d diary
	broken := errors.New("port in use")
	s := &Server{Services: []Service{d.service("a"), Func("b", func(context.Context, func()) error { return broken }), d.service("c")}}
	err := s.Run(context.Background(), func() { t.Fatal("never ready") })
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "b: ")
	require.Equal(t, []string{"start a", "stop a"}, d.lines)
}

func TestFailedServiceIsStartedAgain(t *testing.T) {
	runs := make(chan int, 3)
	n := 0
	flaky := Func("flaky", func(ctx context.Context, ready func()) error {
		n++
		ready()
		runs <- n
		if n < 3 {
			return errors.New("crashed")
		}
		<-ctx.Done()
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- (&Server{Services: []Service{flaky}, RestartWait: time.Millisecond}).Run(ctx, nil)
	}()
	for want := 1; want <= 3; want++ {
		require.Equal(t, want, <-runs)
	}
	cancel()
	require.NoError(t, <-done)
}

func TestStopIsBounded(t *testing.T) {
	release := make(chan struct{})
	stuck := Func("stuck", func(_ context.Context, ready func()) error { ready(); <-release; return nil })
	ctx, cancel := context.WithCancel(context.Background())
	err := (&Server{Services: []Service{stuck}, StopTimeout: 10 * time.Millisecond}).Run(ctx, cancel)
	require.ErrorIs(t, err, ErrStopTimeout)
	close(release)
}

type reloading struct {
	Service
	err error
}

func (r reloading) Reload(context.Context) error { return r.err }

func TestReloadReachesEveryServiceThatCan(t *testing.T) {
	var d diary
	bad := errors.New("bad map")
	s := &Server{Services: []Service{d.service("a"), reloading{d.service("b"), bad}, reloading{d.service("c"), nil}}}
	err := s.Reload(context.Background())
	require.ErrorIs(t, err, bad)
	require.ErrorContains(t, err, "b: ")
}

func TestProtocolServesAndDrains(t *testing.T) {
	inHandler, finish := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(inHandler)
		<-finish
		_, _ = io.WriteString(w, "done")
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	l.Close()
	p := &Protocol{
		Title: "http", Listeners: []listener.Config{{Address: address}},
		Engine: func() Engine { return HTTP(&http.Server{Handler: handler}) },
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- p.Run(ctx, func() { close(ready) }) }()
	<-ready
	got := make(chan string, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Get("http://" + address)
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		got <- string(body)
	}()
	<-inHandler
	cancel() // the request that runs is finished, not cut
	close(finish)
	require.Equal(t, "done", <-got)
	require.NoError(t, <-done)
}

func TestPortInUseIsAnErrorOfTheStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	p := &Protocol{Title: "imap", Listeners: []listener.Config{{Address: l.Addr().String()}}, Engine: func() Engine { return HTTP(&http.Server{}) }}
	err = (&Server{Services: []Service{p}}).Run(context.Background(), nil)
	require.ErrorContains(t, err, "imap: ")
	require.ErrorContains(t, err, "address already in use")
}
