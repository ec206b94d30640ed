import { JupyterFrontEnd } from '@jupyterlab/application';
import {
  INotebookTracker,
  NotebookActions,
  NotebookPanel
} from '@jupyterlab/notebook';
import { TranslationBundle } from '@jupyterlab/translation';

import { workspacesIcon } from './icons';

export namespace CommandIDs {
  export const openPanel = 'jupyter-workspaces:open-panel';
}

const PANEL_CELL = 'import jupyter_workspaces as jw\n\njw.panel()';

/** Run `jw.panel()` in an empty active cell, else in a new cell below it. */
async function runPanelCell(notebook: NotebookPanel): Promise<void> {
  await notebook.context.ready;
  await notebook.sessionContext.ready;
  const { content } = notebook;
  const active = content.activeCell;
  if (!active || active.model.sharedModel.getSource().trim()) {
    NotebookActions.insertBelow(content);
  }
  content.activeCell?.model.sharedModel.setSource(PANEL_CELL);
  await NotebookActions.run(content, notebook.sessionContext);
}

/** Register the command. It creates a notebook if none is active, or with `newNotebook`. */
export function addCommands(
  app: JupyterFrontEnd,
  notebooks: INotebookTracker,
  trans: TranslationBundle
): void {
  app.commands.addCommand(CommandIDs.openPanel, {
    label: trans.__('Cluster Workspaces'),
    caption: trans.__(
      'Browse, create and manage Kubernetes workspaces in a notebook'
    ),
    icon: workspacesIcon,
    describedBy: {
      args: {
        type: 'object',
        properties: {
          newNotebook: {
            type: 'boolean',
            description: trans.__('Use a new notebook even if one is active')
          },
          cwd: {
            type: 'string',
            description: trans.__('Folder of the new notebook')
          }
        }
      }
    },
    execute: async args => {
      const current = args['newNotebook'] ? null : notebooks.currentWidget;
      if (current && current === app.shell.currentWidget) {
        return runPanelCell(current);
      }
      const created = await app.commands.execute('notebook:create-new', {
        cwd: args['cwd'] ?? '',
        kernelName: app.serviceManager.kernelspecs.specs?.default
      });
      // Notebook 7 opens another browser tab instead of returning a widget.
      if (created instanceof NotebookPanel) {
        await runPanelCell(created);
      }
    }
  });
}
