package seldom

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxKeys bounds what is remembered. When there is more, everything is
// forgotten, and told again.
const maxKeys = 10_000

// Logger writes a warning once in an interval for each key. It is safe for
// concurrent use. Its clock is the system's.
type Logger struct {
	log   *slog.Logger
	every time.Duration

	mu   sync.Mutex
	told map[string]time.Time
}

// New returns a Logger. A nil log is slog.Default, an interval of 0 one minute.
func New(log *slog.Logger, every time.Duration) *Logger {
	if log == nil {
		log = slog.Default()
	}
	if every == 0 {
		every = time.Minute
	}
	return &Logger{log: log, every: every, told: make(map[string]time.Time)}
}

// Warn writes a line, unless one was written about this key within the interval.
func (l *Logger) Warn(ctx context.Context, key, message string, args ...any) {
	if l.due(key) {
		l.log.WarnContext(ctx, message, args...)
	}
}

func (l *Logger) due(key string) bool {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.told[key]; ok && now.Sub(last) < l.every {
		return false
	}
	if len(l.told) >= maxKeys {
		clear(l.told)
	}
	l.told[key] = now
	return true
}
