// The settings file: YAML, one setting a line, no levels.
//
// Values are taken as they are written (`off` stays a word), so YAML's guesses about types play no part.

import LarderBytes
import LarderPlatform
import Yams

/// Reads a settings file into texts; says what and where, and judges no value.
package enum SettingsFile {
    /// A file that is larger is not one of ours.
    static let bytesMax = 1 << 20

    /// The settings of the file at `path`.
    package static func read(_ path: String) throws(SettingProblem) -> SettingLayer {
        let file: SmallFile
        do throws(SystemError) { file = try SmallFile(path: path, bytesMax: bytesMax) } catch {
            throw .fileUnreadable(path: path, error)
        }
        guard !file.isTruncated else { throw .fileTooLarge(path: path, bytesMax: bytesMax) }
        guard let text = String(validating: file.bytes, as: UTF8.self) else {
            throw .fileMalformed(path: path, line: nil, "is not UTF-8 text")
        }
        return try parse(text, path: path)
    }

    /// The settings that `text` gives; `path` is for messages.
    static func parse(_ text: String, path: String) throws(SettingProblem) -> SettingLayer {
        let root: Node?
        do { root = try Yams.compose(yaml: text) } catch { throw malformed(error, in: text, path: path) }
        var layer = SettingLayer()
        // A file of comments alone says nothing, which is allowed.
        guard let root, root.tag != Tag(.null) else { return layer }
        guard let mapping = root.mapping else {
            throw .fileMalformed(path: path, line: root.mark?.line, "is not a list of settings such as `workers: 2`")
        }
        for (key, value) in mapping {
            let source = SettingSource.file(path, line: key.mark?.line ?? 1)
            guard let name = key.scalar?.string else {
                layer.problems.append(.fileMalformed(path: path, line: key.mark?.line, "the name of a setting is plain text"))
                continue
            }
            switch value {
            case .scalar(let scalar) where value.tag == Tag(.null) && scalar.style == .plain:
                layer.problems.append(.noValue(name: name, source: source))
            case .scalar(let scalar):
                layer.add(name, [scalar.string], source)
            case .sequence where Setting.named(name)?.form.isList == false:
                layer.problems.append(.list(name: name, source: source))
            case .sequence(let items) where items.allSatisfy { $0.scalar != nil }:
                layer.add(name, items.compactMap { $0.scalar?.string }, source)
            default:
                layer.problems.append(.nested(name: name, source: source))
            }
        }
        return layer
    }

    private static func malformed(_ error: any Error, in text: String, path: String) -> SettingProblem {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
            .fileMalformed(path: path, line: mark.line, "is not YAML: \(problem)")
        case .duplicatedKeysInMapping(let names, let context):
            twice(names, in: text, path: path)
                ?? .fileMalformed(path: path, line: context.mark.line, "gives a setting twice: \(names.joined(separator: ", "))")
        default:
            .fileMalformed(path: path, line: nil, "is not YAML: \(error)")
        }
    }

    /// Where the settings `names` stand: the parser says only which they are. nil for a file that is not one setting a line.
    private static func twice(_ names: [String], in text: String, path: String) -> SettingProblem? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.prefix { $0 != ":" }.trimmingPrefix { $0 == "\"" || $0 == "'" }.prefix { !" \t\"'".contains($0) }
        }
        var found: [(last: Int, sentence: String)] = []
        for name in names {
            let places = lines.indices.filter { lines[$0] == name }.map { $0 + 1 }
            guard places.count > 1, let last = places.last else { return nil }
            let earlier = places.dropLast().map { "\($0)" }.joined(separator: ", ")
            found.append((last, "gives \(name) again, after line \(earlier)"))
        }
        guard let first = found.first else { return nil }
        let others = found.dropFirst().map { "; line \($0.last) \($0.sentence)" }.joined()
        return .fileMalformed(path: path, line: first.last, first.sentence + others)
    }
}
