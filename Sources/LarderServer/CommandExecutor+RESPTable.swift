// COMMAND: what clients ask at their start, to know which commands there are and where their keys stand.

import LarderBytes
import LarderWire

extension CommandExecutor {
    func commandTable(
        _ request: RESPRequest, _ words: [ByteRange], _ input: borrowing ByteBuffer, _ session: inout Session,
        _ output: inout ByteBuffer
    ) {
        let isRESP3 = request.isRESP3
        guard let first = words.first else {
            return reply(request, &session, &output) { target in
                RESPReply.array(RESPWord.supported.count, into: &target)
                for word in RESPWord.supported { Self.append(word.entry, isRESP3, to: &target) }
            }
        }
        let named = words.dropFirst().map { RESPWord.named(RESPName(input.bytes, $0)) }
        switch lowercase(first, input) {
        case "count" where words.count == 1:
            reply(request, &session, &output) { RESPReply.integer(Int64(RESPWord.supported.count), into: &$0) }
        case "info":
            let asked = words.count == 1 ? RESPWord.supported : named
            reply(request, &session, &output) { target in
                RESPReply.array(asked.count, into: &target)
                for word in asked {
                    if word == .unknown { RESPReply.null(isRESP3, into: &target) } else { Self.append(word.entry, isRESP3, to: &target) }
                }
            }
        case "docs":
            let asked = words.count == 1 ? RESPWord.supported : named.filter { $0 != .unknown }
            reply(request, &session, &output) { target in
                RESPReply.map(asked.count, isRESP3, into: &target)
                for word in asked { Self.append(documentation: word.entry, isRESP3, to: &target) }
            }
        case "list" where words.count == 1:
            reply(request, &session, &output) { target in
                RESPReply.array(RESPWord.supported.count, into: &target)
                for word in RESPWord.supported { RESPReply.bulk(word.name, into: &target) }
            }
        case "list": refuse("ERR syntax error", request, &session, &output)
        case "getkeys": keys(request, Array(words.dropFirst()), named[0], input, &session, &output)
        default: refuseSubcommand(request, words, input, &session, &output)
        }
    }

    /// Which of the words of a command are keys.
    private func keys(
        _ request: RESPRequest, _ words: [ByteRange], _ word: RESPWord, _ input: borrowing ByteBuffer,
        _ session: inout Session, _ output: inout ByteBuffer
    ) {
        let entry = word.entry
        guard word != .unknown, entry.allows(words.count) else {
            return refuse("ERR Invalid command specified", request, &session, &output)
        }
        guard entry.firstKey > 0 else { return refuse("ERR The command has no key arguments", request, &session, &output) }
        let last = entry.lastKey < 0 ? words.count + entry.lastKey : entry.lastKey
        let places = Array(stride(from: entry.firstKey, through: min(last, words.count - 1), by: entry.keyStep))
        reply(request, &session, &output) { target in
            RESPReply.array(places.count, into: &target)
            for place in places { RESPReply.bulk(input.span(words[place]), into: &target) }
        }
    }

    /// Name, arity, flags, keys, categories, and three lists that are empty: tips, key specifications, subcommands.
    private static func append(_ entry: RESPWordEntry, _ isRESP3: Bool, to target: inout ByteBuffer) {
        RESPReply.array(10, into: &target)
        RESPReply.bulk(entry.name, into: &target)
        RESPReply.integer(Int64(entry.arity), into: &target)
        RESPReply.set(entry.flags.count, isRESP3, into: &target)
        for flag in entry.flags { RESPReply.simple(text: flag, into: &target) }
        for key in [entry.firstKey, entry.lastKey, entry.keyStep] { RESPReply.integer(Int64(key), into: &target) }
        RESPReply.set(entry.categories.count, isRESP3, into: &target)
        for category in entry.categories { RESPReply.simple(text: "@" + category, into: &target) }
        for _ in 0..<3 { RESPReply.array(0, into: &target) }
    }

    private static func append(documentation entry: RESPWordEntry, _ isRESP3: Bool, to target: inout ByteBuffer) {
        RESPReply.bulk(entry.name, into: &target)
        RESPReply.map(2, isRESP3, into: &target)
        RESPReply.bulk("summary", into: &target)
        RESPReply.bulk(entry.summary, into: &target)
        RESPReply.bulk("group", into: &target)
        RESPReply.bulk(entry.group, into: &target)
    }
}
