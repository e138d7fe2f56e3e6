package server

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
)

// OnSignal does something each time that the process gets a signal, once at a
// time, and logs its errors: as what (as: "reload" or the like). It is
// for SIGHUP, which reads maps and certificates again (File.Reload,
// Certificate.Reload, Server.Reload) and touches no session, and for signals
// that hand the sockets to a successor. A signal that comes while it is being
// done has it done again. It ends with ctx, or when stop is called, which waits
// for what is being done. A nil logger is slog.Default.
func OnSignal(ctx context.Context, sig os.Signal, as string, do func(context.Context) error, log *slog.Logger) (stop func()) {
	if log == nil {
		log = slog.Default()
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, sig)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-signals:
			case <-ctx.Done():
				return
			}
			if err := do(ctx); err != nil {
				log.ErrorContext(ctx, as+" failed, what was there stays", "err", err)
			}
		}
	}()
	return func() { signal.Stop(signals); cancel(); <-done }
}
