package replication

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"attendee-relay/internal/postgres"
)

// tick is how often a quiet stream looks at the clock at least, and how often it confirms what was recorded at most.
const tick = time.Second

// stream reads one replication connection. Its receive goroutine alone touches the connection, for reading and for
// status alike; the recording goroutine only moves recorded forward.
type stream struct {
	conn      *pgconn.PgConn
	assembler *assembler
	queue     *queue
	// interval is how often the server hears of us at least, and how long it may be silent before it is asked.
	interval time.Duration
	// patience outlives the stream, which began at started.
	patience *patience
	started  time.Time
	// recorded is what the Recorder has made durable: the only position that is confirmed.
	recorded *atomic.Uint64

	// unseen are rows to reconcile once the stream has passed a position.
	unseen atomic.Pointer[difference]

	received  pglogrepl.LSN
	serverEnd *atomic.Uint64
	// lasted is told for how long the stream has been read without an error; nil: nobody asks.
	lasted func(time.Duration)

	heard     time.Time
	asked     bool
	told      time.Time
	confirmed pglogrepl.LSN
}

// receive reads until the context ends or the connection fails.
func (s *stream) receive(ctx context.Context) error {
	s.started = time.Now()
	s.heard, s.told = s.started, s.started
	wake := context.AfterFunc(ctx, func() { _ = s.conn.Conn().SetReadDeadline(time.Unix(1, 0)) })
	defer wake()
	for {
		if err := s.keepInTouch(time.Now()); err != nil {
			return err
		}
		// The deadline is set on the socket and not by a context: pgconn starts a goroutine for each context it watches.
		if err := s.conn.Conn().SetReadDeadline(time.Now().Add(s.wake())); err != nil {
			return fmt.Errorf("setting a deadline on the replication connection: %w", err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		message, err := s.conn.ReceiveMessage(context.Background()) //nolint:contextcheck // bounded by the socket's deadline
		if pgconn.Timeout(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the replication stream: %w", err)
		}
		if err := s.take(ctx, message); err != nil {
			return err
		}
	}
}

func (s *stream) take(ctx context.Context, message pgproto3.BackendMessage) error {
	s.heard, s.asked = time.Now(), false
	if s.heard.Sub(s.started) > maxPatience {
		s.patience.rewarded()
	}
	switch m := message.(type) {
	case *pgproto3.CopyData:
		if len(m.Data) == 0 {
			return errors.New("the server sent an empty message on the replication stream")
		}
		switch m.Data[0] {
		case pglogrepl.XLogDataByteID:
			return s.takeWAL(ctx, m.Data[1:])
		case pglogrepl.PrimaryKeepaliveMessageByteID:
			return s.takeKeepalive(ctx, m.Data[1:])
		}
		return nil
	case *pgproto3.ErrorResponse:
		return fmt.Errorf("reading the replication stream: %w", pgconn.ErrorResponseToPgError(m))
	case *pgproto3.CopyDone:
		return errors.New("the server ended the replication stream")
	default:
		return nil // notices and parameter changes
	}
}

func (s *stream) takeWAL(ctx context.Context, data []byte) error {
	wal, err := pglogrepl.ParseXLogData(data)
	if err != nil {
		return fmt.Errorf("reading the replication stream: %w", err)
	}
	s.received = max(s.received, wal.WALStart+pglogrepl.LSN(len(wal.WALData)))
	s.seeServerEnd(wal.ServerWALEnd)
	commit, err := s.assembler.take(wal.WALData)
	if err != nil || commit == nil {
		return err
	}
	s.patience.rewarded()
	commit.date(wal.ServerTime, time.Now())
	if len(commit.Changes) == 0 && commit.Part == 0 {
		// Postgres 14 sends empty transactions: they move the position and nothing else.
		return s.enqueue(ctx, item{advance: commit.EndLSN})
	}
	if err := s.enqueue(ctx, item{commit: commit}); err != nil {
		return err
	}
	return s.passed(ctx, commit.EndLSN)
}

// passed hands unseen differences on when everything that might still tell of them has been queued.
func (s *stream) passed(ctx context.Context, position pglogrepl.LSN) error {
	found := s.unseen.Load()
	if found == nil || position < found.after || !s.unseen.CompareAndSwap(found, nil) {
		return nil
	}
	return s.enqueue(ctx, item{unseen: found})
}

// takeKeepalive passes the end of the server's WAL on as a position, but only while no transaction is open: what lies
// before it has then been sent, and the queue keeps it behind every commit that came earlier.
func (s *stream) takeKeepalive(ctx context.Context, data []byte) error {
	keepalive, err := pglogrepl.ParsePrimaryKeepaliveMessage(data)
	if err != nil {
		return fmt.Errorf("reading a keepalive of the replication stream: %w", err)
	}
	s.seeServerEnd(keepalive.ServerWALEnd)
	if !s.assembler.inTransaction() {
		s.received = max(s.received, keepalive.ServerWALEnd)
		err = s.enqueue(ctx, item{advance: keepalive.ServerWALEnd, urgent: keepalive.ReplyRequested})
		if err == nil {
			err = s.passed(ctx, keepalive.ServerWALEnd)
		}
	}
	if err == nil && keepalive.ReplyRequested {
		err = s.tell(false)
	}
	return err
}

// enqueue hands an item to the recording goroutine. While the queue is full the server still hears of us: a reader that
// blocks on SQL for longer than wal_sender_timeout would be cut off, for ever.
func (s *stream) enqueue(ctx context.Context, it item) error {
	for {
		full, err := s.queue.put(ctx, it, s.interval)
		if err != nil || !full {
			return err
		}
		s.heard = time.Now() // not reading is our doing, not the server's silence
		if err := s.tell(false); err != nil {
			return err
		}
	}
}

// wake is how long the stream reads before it looks at the clock: often enough for a silence to be noticed before the
// server, for which it is as long, gives the slot away.
func (s *stream) wake() time.Duration { return min(tick, s.interval/2) }

// keepInTouch confirms what was recorded and notices a server that has gone silent.
func (s *stream) keepInTouch(now time.Time) error {
	if s.lasted != nil {
		s.lasted(now.Sub(s.started))
	}
	progress := pglogrepl.LSN(s.recorded.Load()) != s.confirmed
	switch silent := now.Sub(s.heard); {
	case silent > s.patience.of(2*s.interval) && s.asked:
		s.patience.lost()
		return fmt.Errorf("reading the replication stream: %w for %v", postgres.ErrSilent, silent.Round(time.Millisecond))
	case silent > s.interval && !s.asked:
		s.asked = true
		return s.tell(true)
	case now.Sub(s.told) > s.interval, progress && now.Sub(s.told) > tick:
		return s.tell(false)
	}
	return nil
}

// tell sends a standby status. All three positions are set: pglogrepl fills the ones left 0 from the first, which would
// confirm what has only been received.
func (s *stream) tell(askReply bool) error {
	now := time.Now()
	durable := pglogrepl.LSN(s.recorded.Load())
	if err := s.conn.Conn().SetWriteDeadline(now.Add(s.interval)); err != nil {
		return fmt.Errorf("setting a deadline on the replication connection: %w", err)
	}
	err := pglogrepl.SendStandbyStatusUpdate(context.Background(), s.conn, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: max(s.received, durable),
		WALFlushPosition: durable,
		WALApplyPosition: durable,
		ClientTime:       now,
		ReplyRequested:   askReply,
	})
	if err != nil {
		return fmt.Errorf("confirming the position on the replication connection: %w", err)
	}
	s.told, s.confirmed = now, durable
	return nil
}

func (s *stream) seeServerEnd(end pglogrepl.LSN) {
	if uint64(end) > s.serverEnd.Load() {
		s.serverEnd.Store(uint64(end))
	}
}
