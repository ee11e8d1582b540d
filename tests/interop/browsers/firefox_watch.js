// SPDX-License-Identifier: Apache-2.0
// Runs in Firefox with the browser's own rights: answers the PIN prompt and the choice of a certificate as a
// holder would, takes a picture of each, and writes down what was asked and how every page's loading ended.
//
// arguments[0]: folder with events.jsonl (what happened, a line each) and answers.json (what to answer)
//
// Written to a file, since Marionette does not answer while a dialog is open.
const folder = arguments[0];
const win = Services.wm.getMostRecentWindow("navigator:browser");

function file(name) {
  const path = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
  path.initWithPath(PathUtils.join(folder, name));
  return path;
}

function tell(event) {
  const stream = Cc["@mozilla.org/network/file-output-stream;1"].createInstance(Ci.nsIFileOutputStream);
  stream.init(file("events.jsonl"), 0x02 | 0x08 | 0x10, 0o600, 0);
  const line = new TextEncoder().encode(JSON.stringify(event) + "\n");
  const binary = Cc["@mozilla.org/binaryoutputstream;1"].createInstance(Ci.nsIBinaryOutputStream);
  binary.setOutputStream(stream);
  binary.writeByteArray(line);
  stream.close();
}

// Each answer is given once: on a wrong PIN Firefox asks again, until the key is blocked.
async function nextAnswer(kind) {
  const path = file("answers.json").path;
  const answers = JSON.parse(await IOUtils.readUTF8(path));
  const answer = answers[kind].shift();
  await IOUtils.writeUTF8(path, JSON.stringify(answers));
  return answer ?? null;
}

let pictures = 0;
async function picture(dialog, kind) {
  const root = dialog.document.documentElement;
  // A dialog's content is laid out after it says that it is loaded.
  await new Promise(resolve => dialog.setTimeout(resolve, 100));
  const width = Math.max(dialog.innerWidth, root.scrollWidth, 1);
  const height = Math.max(dialog.innerHeight, root.scrollHeight, 1);
  const bitmap = await dialog.browsingContext.currentWindowGlobal.drawSnapshot(
    new dialog.DOMRect(0, 0, width, height), 1, "rgb(255,255,255)");
  const canvas = dialog.document.createElementNS("http://www.w3.org/1999/xhtml", "canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  const blob = await new Promise(resolve => canvas.toBlob(resolve));
  const name = `${++pictures}-${kind}.png`;
  await IOUtils.write(PathUtils.join(folder, name), new Uint8Array(await blob.arrayBuffer()));
  return name;
}

async function answerCommon(dialog) {
  const { args, ui } = dialog.Dialog;
  const isPin = args.promptType == "promptPassword";
  const shown = await picture(dialog, isPin ? "pin" : "message");
  const answer = isPin ? await nextAnswer("pins") : null;
  tell({ kind: isPin ? "pin" : "message", text: args.text, title: args.title, answered: answer !== null,
         picture: shown });
  if (!isPin) {
    ui.button0.click();
  } else if (answer === null) {
    ui.button1.click();
  } else {
    ui.password1Textbox.value = answer;
    ui.button0.click();
  }
}

async function answerPicker(dialog) {
  const list = dialog.document.getElementById("nicknames");
  const offered = [...list.menupopup.children].map(item => item.getAttribute("label"));
  const answer = await nextAnswer("certificates");
  const index = answer === null ? -1 : offered.findIndex(label => label.includes(answer));
  if (index >= 0) {
    list.selectedIndex = index;
    list.dispatchEvent(new dialog.CustomEvent("command", { bubbles: true }));
  }
  const shown = await picture(dialog, "picker");
  tell({ kind: "picker", offered, answered: index >= 0, picture: shown,
         text: dialog.document.documentElement.textContent.replace(/\s+/g, " ").trim() });
  const buttons = dialog.document.querySelector("dialog");
  if (index < 0) {
    buttons.cancelDialog();
  } else {
    buttons.acceptDialog();
  }
}

const observer = {
  observe(subject, topic) {
    const dialog = topic == "common-dialog-loaded" ? subject : subject.ownerGlobal ?? subject.documentGlobal;
    const answering = topic == "common-dialog-loaded" ? answerCommon(dialog) : answerPicker(dialog);
    answering.catch(error => tell({ kind: "fault", text: `${topic}: ${error}` }));
  },
};
Services.obs.addObserver(observer, "common-dialog-loaded");
Services.obs.addObserver(observer, "cert-dialog-loaded");

const { STATE_STOP, STATE_IS_NETWORK, STATE_IS_WINDOW } = Ci.nsIWebProgressListener;
const progress = {
  QueryInterface: ChromeUtils.generateQI(["nsIWebProgressListener", "nsISupportsWeakReference"]),
  onStateChange(browser, webProgress, request, flags, status) {
    if (webProgress.isTopLevel && flags & STATE_STOP && flags & STATE_IS_NETWORK) {
      tell({ kind: "loaded", status: status >>> 0 });
    }
  },
};
win.gBrowser.addTabsProgressListener(progress);
win.__pivgate = { observer, progress };
