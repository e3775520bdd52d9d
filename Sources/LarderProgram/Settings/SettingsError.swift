// What can be wrong with settings, and the sentences that say so.
//
// All problems are found before any is reported, so that a file is mended in one go.

import LarderPlatform

/// Where a value was given. Later cases win over earlier ones.
package enum SettingSource: Sendable, Equatable {
    case file(String, line: Int)
    case environment
    case commandLine

    var rank: Int {
        switch self {
        case .file: 0
        case .environment: 1
        case .commandLine: 2
        }
    }
}

/// One thing that is wrong.
package enum SettingProblem: Error, Equatable, Sendable {
    case unknown(name: String, source: SettingSource, nearest: String?)
    case noValue(name: String, source: SettingSource)
    case nested(name: String, source: SettingSource)
    /// A list for a setting that takes one value.
    case list(name: String, source: SettingSource)
    case refused(name: String, values: [String], refusal: SettingRefusal, source: SettingSource)
    /// Each value is fine and they do not go together.
    case mismatch(String)

    case fileUnreadable(path: String, SystemError)
    case fileTooLarge(path: String, bytesMax: Int)
    case fileMalformed(path: String, line: Int?, String)

    case keyFile(path: String, APIKeyProblem)
    case keyVariable(APIKeyProblem)
    case keyTwice
}

/// Everything that is wrong; never empty.
package struct SettingsError: Error, Equatable, Sendable {
    package let problems: [SettingProblem]

    package init(_ problems: [SettingProblem]) {
        precondition(!problems.isEmpty, "an error without a problem")
        self.problems = problems
    }
}

extension SettingsError: CustomStringConvertible {
    package var description: String { problems.map(\.description).joined(separator: "\n") }
}

extension SettingProblem: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unknown(let name, let source, let nearest):
            let hint = nearest.map { ", did you mean \(source.spelling(of: $0))?" } ?? "; `larder settings` lists them"
            return "\(source.place)unknown setting \(source.spelling(of: name))\(hint)"
        case .noValue(let name, let source):
            return "\(source.place)\(source.spelling(of: name)) has no value\(allowed(name))"
        case .nested(let name, let source):
            return "\(source.place)\(source.spelling(of: name)) takes plain values, not settings of its own\(allowed(name))"
        case .list(let name, let source):
            return "\(source.place)\(source.spelling(of: name)) takes one value, not a list\(allowed(name))"
        case .refused(let name, let values, let refusal, let source):
            let value = values.map { "\"\($0)\"" }.joined(separator: ", ")
            let sentence =
                switch refusal {
                case .form(let noun): "\(value) is not \(noun)"
                case .element(let text, let noun): "\"\(text)\" is not \(noun)"
                case .range: "\(value) is out of range"
                case .count(0): "no value is given"
                case .count(let count): "\(count) values are too many"
                }
            return "\(source.place)\(source.spelling(of: name)): \(sentence)\(allowed(name))"
        case .mismatch(let sentence):
            return sentence
        case .fileUnreadable(let path, let error):
            return "\(path): cannot be read: \(error)"
        case .fileTooLarge(let path, let bytesMax):
            return "\(path): has more than \(SizeText.text(bytes: bytesMax)); is this a settings file?"
        case .fileMalformed(let path, let line, let sentence):
            return "\(path)\(line.map { ":\($0)" } ?? ""): \(sentence)"
        case .keyFile(let path, let problem):
            return "the API key in \(path): \(problem)"
        case .keyVariable(let problem):
            return "the API key in \(APIKeyReader.variable): \(problem)"
        case .keyTwice:
            return "\(APIKeyReader.variable) and \(APIKeyReader.fileVariable) both name a key: set one of them"
        }
    }

    private func allowed(_ name: String) -> String {
        Setting.named(name).map { "; allowed: \($0.form.allowed)" } ?? ""
    }
}

extension SettingSource {
    /// What comes before a message: the file and the line.
    var place: String {
        switch self {
        case .file(let path, let line): "\(path):\(line): "
        case .environment, .commandLine: ""
        }
    }

    /// How the setting is written there.
    func spelling(of name: String) -> String {
        switch self {
        case .file: name
        case .environment: Setting.named(name)?.variable ?? name
        case .commandLine: Setting.named(name)?.option ?? name
        }
    }
}
