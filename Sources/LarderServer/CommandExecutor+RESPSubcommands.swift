// The second words of commands: which there are, how many words they take, and what HELP says of them.

import LarderBytes
import LarderWire

extension CommandExecutor {
    /// Whether the first of `words` is a subcommand that has as many words as it takes, if the command has any. If it is not, and
    /// if it is HELP, this has answered.
    func hasSubcommand(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) -> Bool {
        let all = request.word.subcommands
        guard !all.isEmpty, let first = words.first else { return true }
        let (command, name) = (request.word.name, lowercase(first, input))
        guard let subcommand = all.first(where: { $0.name == name }) else {
            let text = "ERR unknown subcommand '\(Self.shown(first, input))'. Try \(command.uppercased()) HELP."
            refuse(text, request, &session, &output)
            return false
        }
        guard subcommand.allows(words.count + 1) else {
            refuse("ERR wrong number of arguments for '\(command)|\(name)' command", request, &session, &output)
            return false
        }
        if name != "help" { return true }
        reply(request, &session, &output) { target in
            RESPReply.array(1 + 2 * all.count, into: &target)
            RESPReply.simple(text: "\(command.uppercased()) <subcommand> [<argument> ...]. Subcommands are:", into: &target)
            for one in all {
                RESPReply.simple(text: one.form, into: &target)
                RESPReply.simple(text: "    " + one.summary, into: &target)
            }
        }
        return false
    }

    /// Refuses a subcommand whose words are none that it has.
    func refuseSubcommand(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) {
        let name = request.word.name.uppercased()
        refuse(
            "ERR unknown subcommand or wrong number of arguments for '\(Self.shown(words[0], input))'. Try \(name) HELP.",
            request, &session, &output)
    }
}
