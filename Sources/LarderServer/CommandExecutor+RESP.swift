// The commands that only RESP has.

import LarderBytes
import LarderEngine
import LarderWire

extension CommandExecutor {
    func executeRESP(
        _ command: Command, _ input: borrowing ByteBuffer, _ session: inout Session, _ output: inout ByteBuffer,
        _ scratch: inout Scratch, _ turn: Turn, _ metrics: WorkerMetrics
    ) {
        refuse(.unknownOperation, command, &session, &output, turn, metrics)
    }
}
